# SPDX-License-Identifier: Apache-2.0
"""Errors of our own to inject into recordings, beside those of bev_perception.faults."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bev_perception.faults import FAULTS, Choice, Delivery, Effect, Fault, Injection, Kind


def known(name: str, **choice: Any) -> Injection:
    """A fault of the library."""
    return Injection(FAULTS[name], Choice(**choice))


def own(effect: Effect, *kinds: Kind, cameras: str = "") -> Injection:
    """An effect without memory on messages of some kinds and, if named, of some cameras."""
    made = Fault("own", "", frozenset(kinds), lambda _: effect)
    return Injection(made, Choice(cameras=tuple(cameras.split())))


def edited(edit: Callable[[Any], object], *kinds: Kind, cameras: str = "") -> Injection:
    """Every message changed in place, in a copy."""

    def change(delivery: Delivery) -> tuple[Delivery]:
        message = deepcopy(delivery.message)
        edit(message)
        return (replace(delivery, message=message),)

    return own(change, *kinds, cameras=cameras)


def calibrated(edit: Callable[[Any], object], cameras: str = "front") -> Injection:
    """Every CameraInfo of a camera changed in place."""
    return edited(edit, Kind.INFO, cameras=cameras)


def mounted(edit: Callable[[Any], object], *frames: str) -> Injection:
    """Every mounting on /tf_static changed in place; default those of all cameras."""
    return _transforms(edit, Kind.STATIC_TF, frames)


def driven(edit: Callable[[Any], object]) -> Injection:
    """Every pose on /tf changed in place."""
    return _transforms(edit, Kind.TF, ())


def _transforms(edit: Callable[[Any], object], kind: Kind, frames: tuple[str, ...]) -> Injection:
    def change(message: Any) -> None:
        for entry in message.transforms:
            if not frames or entry.child_frame_id in frames:
                edit(entry)

    return edited(change, kind)
