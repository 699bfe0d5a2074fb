# SPDX-License-Identifier: Apache-2.0
"""JSON, YAML and file names from files that anybody may have written.

Nothing in them runs code, and none of them takes more memory than its own size explains:
nesting ends in an error instead of the interpreter's, aliases that multiply are refused before
they are followed, and a name that becomes a path stays in its folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MAX_YAML_BYTES = 32 << 20
"""Larger than the metadata of a bag of a hundred thousand files."""

MAX_YAML_VALUES = 2_000_000
"""Values of a document with every alias followed."""

MAX_PIXELS = 1 << 27
"""Pixels of one image, 134 million: twice the largest sensors of cameras for vehicles."""

_MAX_NAME = 200
_SHOWN = 300
_RESERVED = frozenset("/\\\x00\n\r")


def parse_json(text: str | bytes, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The values of a JSON document.

    Args:
        text: the document.
        parse_constant: see json.loads.

    Raises:
        ValueError: it is none, or nested deeper than anybody writes.
    """
    try:
        return json.loads(text, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_yaml(text: str | bytes, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The values of a YAML document.

    Args:
        text: the document.
        loader: a safe one.

    Raises:
        yaml.YAMLError: it is none; nested too deeply; holds itself, or aliases that multiply it
            beyond MAX_YAML_VALUES; or is larger than MAX_YAML_BYTES.
    """
    if len(text) > MAX_YAML_BYTES:
        raise yaml.YAMLError(f"larger than {MAX_YAML_BYTES >> 20} MiB")
    try:
        reader = loader(text)
        try:
            node = reader.get_single_node()
            if node is None:
                return None
            if _num_values(node, {}) > MAX_YAML_VALUES:
                raise yaml.YAMLError("its aliases multiply it beyond all measure")
            return reader.construct_document(node)
        finally:
            reader.dispose()
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        # constructors of dates, numbers and merges raise these on values of the right look
        raise yaml.YAMLError(f"a value that is none of its kind: {error}") from error


def file_name(name: object, what: str) -> str:
    """A name from a file that becomes one part of a path.

    Args:
        name: as read.
        what: for the message.

    Raises:
        ValueError: it is no plain name: empty, not text, too long, with a separator or a line
            break in it, or one that leads elsewhere.
    """
    if (
        not isinstance(name, str)
        or not name.strip()
        or len(name.encode(errors="replace")) > _MAX_NAME
        or name in (".", "..")
        or _RESERVED & set(name)
        or not name.isprintable()
    ):
        raise ValueError(
            f"{what} {str(name)[:80]!r} cannot be the name of a file; expected letters and digits "
            f"without a slash"
        )
    return name


def inside(folder: Path, relative: object, what: str) -> Path:
    """A path below a folder, named in a file.

    Raises:
        ValueError: the name is no text, or leads out of the folder.
    """
    if not isinstance(relative, str) or not relative or "\x00" in relative:
        raise ValueError(f"{what} {str(relative)[:80]!r} is no path")
    path = Path(relative)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{what} {relative[:80]!r} leads out of {folder}")
    return folder / path


def shown(value: object) -> str:
    """A value as messages show it: as Python writes it, the middle of long ones left out."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]} ... {text[-15:]}"


def _num_values(node: yaml.Node, counted: dict[int, int]) -> int:
    """Values of a node with every alias followed.

    Raises:
        yaml.YAMLError: the node holds itself.
    """
    known = counted.get(id(node))
    if known is not None:
        if known < 0:
            raise yaml.YAMLError("a value that holds itself")
        return known
    if isinstance(node, yaml.ScalarNode):
        return 1
    counted[id(node)] = -1
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    counted[id(node)] = 1 + sum(_num_values(child, counted) for child in children)
    return counted[id(node)]
