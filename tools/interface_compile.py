# SPDX-License-Identifier: Apache-2.0
"""Generated sources of a ROS 2 interface package to the libraries that rclpy loads."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

WHEELS = Path(sys.prefix)
COMPILERS = {".c": ("CC", "gcc", ()), ".cpp": ("CXX", "g++", ("-std=c++17",))}
# Libraries of an interface package that C code of other packages calls; the last is ours.
PACKAGE_LIBRARIES = (
    "generator_c",
    "generator_py",
    "typesupport_c",
    "typesupport_fastrtps_c",
    "typesupport_introspection_c",
    "generated",
)
RUNTIME_LIBRARIES = (
    "rosidl_runtime_c",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_fastrtps_cpp",
    "rosidl_typesupport_introspection_c",
    "fastcdr",
    "rcutils",
)


class InterfaceError(Exception):
    """One message that tells the user what to do."""


def check_tools() -> None:
    """Raises InterfaceError unless the generators, the compilers and Python.h are there."""
    if not (WHEELS / "share" / "rosidl_generator_py").is_dir():
        raise InterfaceError(f"{WHEELS} has no ROS 2 wheels; run: make ros")
    packages = missing_debian_packages()
    if packages:
        raise InterfaceError(
            "a C and C++ compiler and Python.h are needed; "
            f"install them with: sudo apt-get install {' '.join(packages)}"
        )


def missing_debian_packages() -> list[str]:
    """Debian's names of what compiling needs and this machine lacks."""
    missing = []
    if any(shutil.which(compiler(suffix)[0]) is None for suffix in COMPILERS):
        missing.append("g++")
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-dev")
    return missing


def compiler(suffix: str) -> list[str]:
    """Command that compiles files with `suffix`; the variables CC and CXX choose another."""
    variable, default, options = COMPILERS[suffix]
    return [*shlex.split(os.environ.get(variable) or default), *options]


def compile_libraries(
    root: Path, dependencies: Sequence[str], staged: Path, prefixes: Sequence[Path]
) -> None:
    """Makes lib/lib<package>__rosidl_generated.so and the extension module that uses it.

    Args:
        root: what was generated, a folder named like the package.
        dependencies: packages whose types it uses.
        staged: where lib/ and python/<package>/ are made.
        prefixes: where headers and libraries of other packages are.
    """
    name = root.name
    entry_point = root / f"_{name}_s.ep.rosidl_typesupport_c.c"
    sources = [entry_point, *sorted({*root.rglob("*.c"), *root.rglob("*.cpp")} - {entry_point})]
    includes = include_options(root, prefixes)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        entry_object, *objects = pool.map(partial(compile_one, includes=includes), sources)

    (staged / "lib").mkdir(parents=True)
    (staged / "python" / name).mkdir(parents=True)
    libraries = library_options(dependencies, prefixes)
    shared = staged / "lib" / f"lib{name}__rosidl_generated.so"
    link(shared, [*objects, *libraries])
    extension = staged / "python" / name / f"{name}_s__rosidl_typesupport_c.so"
    own = [f"-L{shared.parent}", f"-l{name}__rosidl_generated"]
    link(extension, [entry_object, *own, *libraries])


def include_options(root: Path, prefixes: Sequence[Path]) -> list[str]:
    """Folders with the headers of the package itself, Python, NumPy and the wheels."""
    import numpy

    folders = [root.parent, sysconfig.get_paths()["include"], numpy.get_include()]
    for prefix in prefixes:
        folders += [prefix / "include", *sorted(prefix.glob("include/*/"))]
    return [f"-I{folder}" for folder in folders]


def library_options(dependencies: Sequence[str], prefixes: Sequence[Path]) -> list[str]:
    """Libraries of the wheels and of the packages used, found again at run time."""
    names = [f"{used}__rosidl_{kind}" for used in dependencies for kind in PACKAGE_LIBRARIES]
    folders = [prefix / "lib" for prefix in prefixes]
    return [
        *(f"-L{folder}" for folder in folders),
        *(f"-Wl,-rpath,{folder}" for folder in folders),
        *(
            f"-l{name}"
            for name in (*names, *RUNTIME_LIBRARIES)
            if any((folder / f"lib{name}.so").exists() for folder in folders)
        ),
    ]


def compile_one(source: Path, includes: Sequence[str]) -> str:
    """Compiles one file to an object file beside it; returns its path."""
    result = f"{source}.o"
    run([*compiler(source.suffix), "-O2", "-fPIC", *includes, "-c", str(source), "-o", result])
    return result


def link(result: Path, arguments: Sequence[str]) -> None:
    """Links a shared library without its local symbols."""
    run([*compiler(".cpp"), "-shared", "-s", *arguments, "-o", str(result)])


def run(command: Sequence[str]) -> None:
    """Runs a compiler; its first complaint becomes the error."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if "error" in line or "cannot" in line]
        raise InterfaceError(f"{command[0]} failed: {said[0] if said else result.stderr.strip()}")
