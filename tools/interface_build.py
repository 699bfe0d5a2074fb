# SPDX-License-Identifier: Apache-2.0
"""Definitions of one ROS 2 interface package to C, C++ and Python, to shared libraries.

rosidl's generators come with the ROS 2 wheels; CMake, which usually drives them, is not needed.
Everything is laid out below one folder as it will lie below the environment's prefix.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEELS = Path(sys.prefix)
INDEX = Path("share/ament_index/resource_index")
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
HANDLE_SOURCE = """
typedef const rosidl_message_type_support_t * handle_of_NAME;
handle_of_NAME rosidl_typesupport_c__get_message_type_support_handle__NAME(void);
handle_of_NAME rosidl_typesupport_fastrtps_c__get_message_type_support_handle__NAME(void);
handle_of_NAME rosidl_typesupport_introspection_c__get_message_type_support_handle__NAME(void);

static handle_of_NAME find_NAME(handle_of_NAME self, const char * identifier)
{
  if (strcmp(identifier, "rosidl_typesupport_fastrtps_c") == 0)
    return rosidl_typesupport_fastrtps_c__get_message_type_support_handle__NAME();
  if (strcmp(identifier, "rosidl_typesupport_introspection_c") == 0)
    return rosidl_typesupport_introspection_c__get_message_type_support_handle__NAME();
  return strcmp(identifier, "rosidl_typesupport_c") == 0 ? self : NULL;
}

static const rosidl_message_type_support_t support_of_NAME = {
  "rosidl_typesupport_c", NULL, find_NAME,
  &NAME__get_type_hash, &NAME__get_type_description, &NAME__get_type_description_sources
};

handle_of_NAME rosidl_typesupport_c__get_message_type_support_handle__NAME(void)
{
  return &support_of_NAME;
}
"""


class InterfaceError(Exception):
    """One message that tells the user what to do."""


@dataclass(frozen=True)
class Package:
    """Definitions of one interface package."""

    name: str
    messages: tuple[Path, ...]  # its .msg files, sorted
    dependencies: tuple[str, ...]  # packages whose types its fields have, sorted

    @property
    def stems(self) -> list[str]:
        """Names of its messages."""
        return [message.stem for message in self.messages]


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
        missing += ["g++", "libc6-dev"]
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-dev")
    return missing


def compiler(suffix: str) -> list[str]:
    """Command that compiles files with `suffix`; the variables CC and CXX choose another."""
    variable, default, options = COMPILERS[suffix]
    return [*shlex.split(os.environ.get(variable) or default), *options]


def build(package: Package, folder: Path, prefix: Path) -> Path:
    """Builds `package` below `folder` for `prefix`; returns the tree to be moved there."""
    root, staged = folder / "generated" / package.name, folder / "staged"
    prefixes = list(dict.fromkeys((prefix, WHEELS)))
    generate(package, root, prefixes)
    compile_libraries(package, root, staged, prefixes)
    stage_files(package, root, staged)
    return staged


def generate(package: Package, root: Path, prefixes: Sequence[Path]) -> None:
    """Writes IDL, type descriptions with their hashes, C, C++ and Python below `root`."""
    os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(map(str, prefixes))
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_cli.command.helpers import generate_visibility_control_file
    from rosidl_generator_c import generate_c
    from rosidl_generator_py.generate_py_impl import generate_py
    from rosidl_generator_type_description import generate_type_hash
    from rosidl_typesupport_fastrtps_c import generate_typesupport_fastrtps_c
    from rosidl_typesupport_introspection_c import generate_c as generate_introspection_c

    messages = root / "msg"
    messages.mkdir(parents=True)
    for definition in package.messages:
        shutil.copyfile(definition, messages / definition.name)
        with contextlib.redirect_stdout(io.StringIO()):  # it names each file that it reads
            convert_msg_to_idl(root, package.name, Path("msg", definition.name), messages)

    shares = {name: share_of(name, package, prefixes) for name in package.dependencies}
    arguments = {
        "package_name": package.name,
        "output_dir": str(root),
        "target_dependencies": [],
        "idl_tuples": [f"{root}:msg/{stem}.idl" for stem in package.stems],
        "include_paths": [f"{name}:{share}" for name, share in shares.items()],
        "ros_interface_dependencies": [
            f"{name}:{path}" for name, share in shares.items() for path in share.glob("msg/*.idl")
        ],
        "ros_interface_files": [str(messages / f"{stem}.msg") for stem in package.stems],
        "type_description_tuples": [
            f"msg/{stem}.idl:{messages / stem}.json" for stem in package.stems
        ],
    }
    run_generator(generate_type_hash, "rosidl_generator_type_description", arguments)
    for generator, tool in (
        (generate_c, "rosidl_generator_c"),
        (generate_typesupport_fastrtps_c, "rosidl_typesupport_fastrtps_c"),
        (generate_introspection_c, "rosidl_typesupport_introspection_c"),
    ):
        run_generator(generator, tool, arguments)
        header = f"{tool}__visibility_control.h"
        generate_visibility_control_file(
            package_name=package.name,
            template_path=WHEELS / "share" / tool / "resource" / f"{header}.in",
            output_path=messages / header,
        )
    run_generator(generate_py, "rosidl_generator_py", arguments, ["rosidl_typesupport_c"])
    (root / "__init__.py").touch()
    (messages / "type_support.c").write_text(type_support_source(package))


def share_of(name: str, package: Package, prefixes: Sequence[Path]) -> Path:
    """The share folder of a package that `package` uses."""
    for prefix in prefixes:
        if (prefix / "share" / name / "msg").is_dir():
            return prefix / "share" / name
    raise InterfaceError(f"{package.name} uses {name}, which is not installed in {WHEELS}")


def run_generator(
    generator: Callable[..., Any], tool: str, arguments: dict[str, Any], *more: Any
) -> None:
    """Runs one of rosidl's generators with its own templates."""
    from rosidl_cli.command.helpers import generator_arguments_file

    templates = WHEELS / "share" / tool / "resource"
    with generator_arguments_file(**arguments, template_dir=str(templates)) as path:
        generator(path, *more)


def type_support_source(package: Package) -> str:
    """C source of the handles that rclpy asks for.

    A handle gives out the type support that the middleware names. ROS 2 loads the library
    of that type support by its name; here all of them are in one library.
    """
    from rosidl_pycommon import convert_camel_case_to_lower_case_underscore

    parts = ["#include <string.h>\n#include <rosidl_runtime_c/message_type_support_struct.h>\n"]
    for stem in package.stems:
        functions = f"{convert_camel_case_to_lower_case_underscore(stem)}__functions.h"
        parts.append(f'#include "{package.name}/msg/detail/{functions}"\n')
        parts.append(HANDLE_SOURCE.replace("NAME", f"{package.name}__msg__{stem}"))
    return "".join(parts)


def compile_libraries(package: Package, root: Path, staged: Path, prefixes: Sequence[Path]) -> None:
    """Makes lib<package>__rosidl_generated.so and the extension module that rclpy imports."""
    import numpy

    name = package.name
    (staged / "lib").mkdir(parents=True)
    module = staged / "python" / name
    module.mkdir(parents=True)
    headers = [root.parent, sysconfig.get_paths()["include"], numpy.get_include()]
    for prefix in prefixes:
        headers += [prefix / "include", *sorted(prefix.glob("include/*/"))]
    includes = [f"-I{path}" for path in headers]
    entry_point = root / f"_{name}_s.ep.rosidl_typesupport_c.c"
    sources = sorted({*root.rglob("*.c"), *root.rglob("*.cpp")} - {entry_point})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: compile_one(source, includes), sources))
    libraries = [
        f"-l{library}"
        for library in (
            *(
                f"{used}__rosidl_{kind}"
                for used in package.dependencies
                for kind in PACKAGE_LIBRARIES
            ),
            *RUNTIME_LIBRARIES,
        )
        if any((prefix / "lib" / f"lib{library}.so").exists() for prefix in prefixes)
    ]
    paths = [f"{option}{prefix / 'lib'}" for prefix in prefixes for option in ("-L", "-Wl,-rpath,")]
    library = staged / "lib" / f"lib{name}__rosidl_generated.so"
    run([*compiler(".cpp"), "-shared", "-s", *objects, *paths, *libraries, "-o", str(library)])
    extension = module / f"{name}_s__rosidl_typesupport_c.so"
    own = [f"-L{library.parent}", f"-l{name}__rosidl_generated"]
    objects = [compile_one(entry_point, includes)]
    run(
        [
            *compiler(".cpp"),
            "-shared",
            "-s",
            *objects,
            *own,
            *paths,
            *libraries,
            "-o",
            str(extension),
        ]
    )


def compile_one(source: Path, includes: Sequence[str]) -> str:
    """Compiles one file to an object file beside it; returns its path."""
    result = f"{source}.o"
    run([*compiler(source.suffix), "-O2", "-fPIC", *includes, "-c", str(source), "-o", result])
    return result


def run(command: Sequence[str]) -> None:
    """Runs a compiler; its first complaint becomes the error."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if "error" in line or "cannot" in line]
        raise InterfaceError(f"{command[0]} failed: {said[0] if said else result.stderr.strip()}")


def stage_files(package: Package, root: Path, staged: Path) -> None:
    """Lays out Python modules, headers, definitions and the entries of the ament index."""
    name = package.name
    for path in root.rglob("*.py"):
        copy(path, staged / "python" / name / path.relative_to(root))
    for path in root.rglob("*.h"):
        copy(path, staged / "include" / name / name / path.relative_to(root))
    definitions = [path for kind in ("msg", "idl", "json") for path in root.glob(f"msg/*.{kind}")]
    for path in definitions:
        copy(path, staged / "share" / name / path.relative_to(root))
    depends = "".join(f"<depend>{used}</depend>" for used in package.dependencies)
    (staged / "share" / name / "package.xml").write_text(
        f'<package format="3"><name>{name}</name><version>0.0.0</version>'
        "<description>Messages generated by bev_perception</description>"
        '<maintainer email="maintainers@bev-perception.invalid">bev_perception</maintainer>'
        f"<license>Apache-2.0</license>{depends}"
        "<member_of_group>rosidl_interface_packages</member_of_group></package>\n"
    )
    listed = sorted(str(path.relative_to(root)) for path in definitions if path.suffix != ".json")
    for resource, content in (
        ("packages", ""),
        ("package_run_dependencies", ";".join(package.dependencies)),
        ("rosidl_interfaces", "\n".join(listed)),
    ):
        marker = staged / INDEX / resource / name
        marker.parent.mkdir(parents=True)
        marker.write_text(content)


def copy(source: Path, destination: Path) -> None:
    """Copies a file and makes the folders above it."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)
