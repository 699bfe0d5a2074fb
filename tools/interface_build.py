# SPDX-License-Identifier: Apache-2.0
"""From the definitions of one ROS 2 interface package to all files that it consists of.

rosidl's generators come with the ROS 2 wheels; CMake, which usually drives them, is not needed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interface_compile import WHEELS, InterfaceError, compile_libraries

INDEX = Path("share/ament_index/resource_index")
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


def build(package: Package, folder: Path, prefix: Path) -> Path:
    """Builds `package` below `folder`; returns the tree whose parts move to `prefix`."""
    root, staged = folder / "generated" / package.name, folder / "staged"
    prefixes = list(dict.fromkeys((prefix, WHEELS)))
    generate(package, root, prefixes)
    compile_libraries(root, package.dependencies, staged, prefixes)
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
