# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil a file: its bytes, its text, or the values of its JSON and YAML."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 40, 100_000_000)
NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**70, 1e308, -1e308, 1e-308, float("inf"), float("nan"),
    10**9, "", "x", "../../../escaped", "/dev/zero", "/etc/passwd", "a\nb", "\x00", "é" * 40,
    "x" * 5000, [], {}, [[]], [None], {"": None}, [1, 2, 3], [1e30] * 9, [[0, 0, 0]] * 3,
)  # fmt: skip
"""Values that no writer would write in the place of another."""


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of bytes: flips, cuts, splices, repetitions, huge lengths."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_BYTE_CHANGES)(changed, rng)
    return bytes(changed)


def mutated_values(values: Any, rng: random.Random) -> Any:
    """A deep copy of JSON values with one to three of them replaced, removed or repeated."""
    copy = json.loads(json.dumps(values))
    for _ in range(rng.choice((1, 1, 2, 3))):
        copy = _change_value(copy, rng)
    return copy


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3, 16))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 4, 64, 4096))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    block = data[start : start + rng.choice((1, 8, 256, 4096))]
    data[start:start] = block * rng.choice((1, 2, 8))


def _insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice((1, 8, 64)))


def _splice(data: bytearray, rng: random.Random) -> None:
    if data:
        source, target = rng.randrange(len(data)), rng.randrange(len(data))
        length = rng.choice((4, 32, 512))
        data[target : target + length] = data[source : source + length]


def _huge(data: bytearray, rng: random.Random) -> None:
    """A number that may be a length becomes enormous, in either byte order."""
    value, width = rng.choice(HUGE), rng.choice((4, 8))
    if len(data) >= width:
        place = rng.randrange(len(data) - width + 1)
        packed = struct.pack("<Q", value)[:width]
        data[place : place + width] = packed if rng.random() < 0.7 else packed[::-1]


_BYTE_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _replace, _truncate, _remove, _repeat, _insert, _splice, _huge, _huge,
)  # fmt: skip


def _change_value(values: Any, rng: random.Random) -> Any:
    places = list(_places(values))
    if not places:
        return rng.choice(NASTY)
    parent, key = rng.choice(places)
    action = rng.random()
    if action < 0.15 and isinstance(parent, dict):
        del parent[key]
    elif action < 0.25 and isinstance(parent, list):
        parent[key:key] = [parent[key]] * rng.choice((1, 5, 200))
    elif action < 0.35 and isinstance(parent, dict):
        parent[str(rng.choice(NASTY))] = parent[key]
    elif action < 0.4:
        nested: Any = 0
        for _ in range(90):
            nested = [nested]
        parent[key] = nested
    elif action < 0.55 and isinstance(parent[key], (int, float)):
        parent[key] = parent[key] * rng.choice((-1, 0, 0.5, 2, 10, 1000, 1e9))
    else:
        parent[key] = rng.choice(NASTY)
    return values


def _places(values: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value, at most some thousand."""
    found, waiting = [], [values]
    while waiting and len(found) < 5000:
        value = waiting.pop()
        if not isinstance(value, (dict, list)):
            continue
        for key in value if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            waiting.append(value[key])
    return found
