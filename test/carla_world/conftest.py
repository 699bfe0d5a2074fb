# SPDX-License-Identifier: Apache-2.0
"""A server that is not there, and small rigs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bev_perception.geometry import BODY_T_OPTICAL, PinholeCamera, Rig, RigCamera, RigidTransform


def mounted(camera: PinholeCamera, place: tuple[float, ...], **angles: float) -> RigCamera:
    """A camera at a place in base_link; roll, pitch and yaw in radians of its body axes."""
    return RigCamera(
        camera, RigidTransform.from_euler(**angles, translation=place) @ BODY_T_OPTICAL
    )


@pytest.fixture(scope="session")
def rig() -> Rig:
    """Four cameras, none of them level, none like another."""
    lens = PinholeCamera.from_field_of_view(240, 160, 100.0)
    return Rig(
        {
            "front": mounted(lens, (1.9, 0.1, 1.6), roll=0.03, pitch=0.08, yaw=0.05),
            "left": mounted(lens, (1.2, 0.75, 1.5), roll=-0.05, pitch=0.12, yaw=1.4),
            "rear": mounted(lens, (-0.5, -0.1, 1.7), roll=0.02, pitch=0.1, yaw=3.0),
            "right": mounted(lens, (1.1, -0.75, 1.4), roll=0.06, pitch=0.05, yaw=-1.7),
        }
    )


@pytest.fixture(scope="session")
def small_rig() -> Rig:
    """Two tiny cameras, for tests of everything but pixels."""
    lens = PinholeCamera.from_field_of_view(24, 16, 90.0)
    return Rig({"front": mounted(lens, (1.9, 0.0, 1.6)), "rear": mounted(lens, (0.0, 0.0, 1.6))})


@pytest.fixture
def server() -> Iterator[Callable[..., Any]]:
    """Starts doubles at port 2000; takes what carla_double.CarlaDouble takes."""
    from carla_double import CarlaDouble, installed

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(installed(CarlaDouble(**options)))
