# SPDX-License-Identifier: Apache-2.0
"""Gives a virtual environment the ROS 2 interface packages that have no wheel.

PyPI has wheels of rclpy and the common messages, and none of tf2_msgs and vision_msgs. This
program builds them from the definitions in tools/interfaces, tries the result and only then
moves it into place. The packages are what a ROS 2 install has: the same Python classes, the
same wire format and the same type hashes. Run it with the environment's interpreter; a second
run finds nothing to do.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import interface_build
import interface_compile
from interface_build import INDEX, Package
from interface_compile import WHEELS, InterfaceError

DEFINITIONS = Path(__file__).resolve().parent / "interfaces"
STAMP_NAME = "generated_by_bev_perception.json"
TRIAL = """
import importlib, json, sys
for package, name in json.loads(sys.argv[1]):
    message = getattr(importlib.import_module(f"{package}.msg"), name)
    message.__class__.__import_type_support__()
    assert message.__class__._TYPE_SUPPORT is not None, "no type support"
    message()
"""


def main() -> int:
    """Builds what is missing or out of date; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definitions", type=Path, default=DEFINITIONS)
    parser.add_argument("--prefix", type=Path, default=WHEELS)
    options = parser.parse_args()
    try:
        for package in in_build_order(read_packages(options.definitions.resolve())):
            make(package, options.prefix.resolve())
    except InterfaceError as error:
        print(f"interfaces: {error}", file=sys.stderr)
        return 2
    return 0


def read_packages(folder: Path) -> dict[str, Package]:
    """Every package of `folder`, laid out as <package>/msg/<Name>.msg, by name."""
    packages = {}
    for path in sorted(folder.glob("*/msg")):
        name, messages = path.parent.name, tuple(sorted(path.glob("*.msg")))
        texts = [message.read_text(encoding="utf-8") for message in messages]
        used = {name for text in texts for name in re.findall(r"^\s*(\w+)/\w+", text, re.MULTILINE)}
        packages[name] = Package(name, messages, tuple(sorted(used - {name})))
    if not packages:
        raise InterfaceError(f"{folder} holds no <package>/msg/<Name>.msg")
    return packages


def in_build_order(packages: dict[str, Package]) -> list[Package]:
    """Packages after the packages that they use."""
    ordered: dict[str, Package] = {}

    def visit(name: str, users: tuple[str, ...]) -> None:
        if name in users:
            raise InterfaceError(f"packages use each other: {' -> '.join([*users, name])}")
        if name in packages and name not in ordered:
            for used in packages[name].dependencies:
                visit(used, (*users, name))
            ordered[name] = packages[name]

    for name in packages:
        visit(name, ())
    return list(ordered.values())


def make(package: Package, prefix: Path) -> None:
    """Builds and installs a package, unless it is there already."""
    stamp = prefix / "share" / package.name / STAMP_NAME
    state = json.loads(stamp.read_text()) if stamp.is_file() else {}
    digest = digest_of(package, prefix)
    if state.get("digest") == digest:
        return
    if not state and is_installed_by_others(package.name, prefix):
        return
    started = time.monotonic()
    interface_compile.check_tools()
    # Beside the destination: a move within one file system is whole or not at all.
    with tempfile.TemporaryDirectory(dir=prefix, prefix=".interfaces-") as temporary:
        staged = interface_build.build(package, Path(temporary), prefix)
        try_out(package, staged, prefix)
        install(package.name, staged, prefix)
    stamp.write_text(json.dumps({"digest": digest}))
    print(
        f"set-up: built {package.name}, {len(package.messages)} messages, "
        f"in {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )


def digest_of(package: Package, prefix: Path) -> str:
    """Changes with definitions, interpreter, wheels, other generated packages and the builder."""
    wheels = sorted(
        f"{wheel.name}=={wheel.version}"
        for wheel in importlib.metadata.distributions()
        if (wheel.name or "").startswith(("ros-", "numpy"))
    )
    digest = hashlib.sha256("\n".join([sys.version, *wheels]).encode())
    stamps = [prefix / "share" / used / STAMP_NAME for used in package.dependencies]
    programs = [Path(str(module.__file__)) for module in (interface_build, interface_compile)]
    for path in (*programs, *package.messages, *(stamp for stamp in stamps if stamp.is_file())):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def is_installed_by_others(name: str, prefix: Path) -> bool:
    """Whether a wheel or a ROS 2 install brings the package; that is left as it is."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return False
    elsewhere = prefix not in Path(found.origin).resolve().parents
    return elsewhere or (prefix / INDEX / "rosidl_interfaces" / name).is_file()


def try_out(package: Package, staged: Path, prefix: Path) -> None:
    """Imports every message in a fresh interpreter, with all symbols resolved at once."""
    environment = dict(os.environ)
    for variable, paths in (
        ("PYTHONPATH", (staged / "python", python_folder(prefix))),
        ("LD_LIBRARY_PATH", (staged / "lib", prefix / "lib", WHEELS / "lib")),
    ):
        environment[variable] = os.pathsep.join([*map(str, paths), os.environ.get(variable, "")])
    # The wheels' start-up hook would start Python once more with its own library path.
    environment.update(LD_BIND_NOW="1", _ROS_WHEELS_BOOTSTRAP_COMPLETE="1")
    names = json.dumps([(package.name, stem) for stem in package.stems])
    command = [sys.executable, "-c", TRIAL, names]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no output"]
        cause = next((line for line in lines if line.startswith("ImportError")), lines[-1])
        raise InterfaceError(f"{package.name} was built and cannot be imported: {cause}")


def python_folder(prefix: Path) -> Path:
    """Where Python looks for pure packages below a prefix."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(prefix)}))


def install(name: str, staged: Path, prefix: Path) -> None:
    """Moves the parts of the staged tree into place, each at once, replacing older ones.

    The stamp goes first and is written last: after an interruption the next run builds again.
    """
    (prefix / "share" / name / STAMP_NAME).unlink(missing_ok=True)
    library = f"lib/lib{name}__rosidl_generated.so"
    markers = [path.relative_to(staged) for path in (staged / INDEX).glob("*/*")]
    for part in (Path("include", name), Path("share", name), Path(library), *markers):
        replace(staged / part, prefix / part)
    replace(staged / "python" / name, python_folder(prefix) / name)


def replace(source: Path, destination: Path) -> None:
    """Moves a file or folder within the file system, in the place of an older one."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and destination.exists():
        # The older one goes into the temporary folder, which is removed as a whole.
        os.rename(destination, source.with_name(f"{source.name}.older"))
    os.rename(source, destination)


if __name__ == "__main__":
    sys.exit(main())
