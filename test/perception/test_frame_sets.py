# SPDX-License-Identifier: Apache-2.0
"""From a source of frames to sets with poses."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.perception import Synchronizer, frame_sets

MS = 1_000_000


class Recording:
    """A source in memory whose vehicle drives 10 m/s along x."""

    def __init__(self, stamps_ms: dict[str, list[int]]) -> None:
        self._frames = sorted(
            (stamp * MS, name) for name, stamps in stamps_ms.items() for stamp in stamps
        )
        self._names = tuple(stamps_ms)

    def rig(self) -> Rig:
        camera = PinholeCamera.from_field_of_view(4, 3, 90.0)
        return Rig({name: RigCamera(camera, RigidTransform.identity()) for name in self._names})

    def camera_frames(self, names=None):
        for stamp_ns, name in self._frames:
            if names is None or name in names:
                yield CameraFrame(name, stamp_ns, np.zeros((3, 4, 3), dtype=np.uint8))

    def world_T_base(self, stamp_ns: int) -> RigidTransform | None:
        if stamp_ns > 1000 * MS:
            return None
        return RigidTransform(np.eye(3), np.array([stamp_ns * 1e-8, 0.0, 0.0]))

    def world_frame(self, stamp_ns: int) -> str:
        return "odom" if stamp_ns <= 1000 * MS else ""


def test_sets_carry_the_pose_at_their_own_stamp():
    source = Recording({"front": [0, 100, 200], "rear": [3, 103, 203]})
    sets = list(frame_sets(source))
    assert [found.stamp_ns for found in sets] == [0, 100 * MS, 200 * MS]
    assert [found.world_T_base.translation[0] for found in sets] == pytest.approx([0, 1, 2])
    assert {found.world_frame for found in sets} == {"odom"}


def test_a_pose_that_is_not_known_stays_none():
    (found,) = frame_sets(Recording({"front": [2000], "rear": [2000]}))
    assert (found.world_T_base, found.world_frame) == (None, "")


def test_the_end_of_the_source_gives_out_the_last_sets():
    sets = list(frame_sets(Recording({"front": [0, 100], "rear": [0]})))
    assert [found.missing for found in sets] == [(), ("rear",)]


def test_a_synchroniser_of_fewer_cameras_reads_only_those():
    synchronizer = Synchronizer(("front",))
    sets = list(frame_sets(Recording({"front": [0], "rear": [0]}), synchronizer))
    assert [tuple(found.frames) for found in sets] == [("front",)]


def test_one_camera_alone_is_no_error():
    assert len(list(frame_sets(Recording({"front": [0, 100], "rear": []})))) == 2


def test_cameras_that_never_overlap_are_named_with_their_stamps():
    source = Recording({"front": [0, 500], "rear": [90_000, 90_500], "left": []})
    with pytest.raises(BevError) as caught:
        list(frame_sets(source))
    message = str(caught.value)
    assert "front 0.000 to 0.500 s" in message
    assert "rear 90.000 to 90.500 s" in message
    assert "without images: left" in message


def test_a_source_without_images_is_an_error_that_names_the_cameras():
    with pytest.raises(BevError, match="no images of any camera: expected front, rear"):
        list(frame_sets(Recording({"front": [], "rear": []})))
