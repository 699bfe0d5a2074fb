# SPDX-License-Identifier: Apache-2.0
"""One moment in one picture: any number of cameras, predictions levelled back into them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bev_perception.geometry import (
    BevGrid,
    BevOutput,
    CameraFrame,
    CameraHealth,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL, levelled
from bev_perception.visualization import (
    camera_picture,
    camera_rows,
    comparison_picture,
    frame_picture,
)
from bev_perception.visualization.palette import PREDICTION

GRID = BevGrid.centered(20.0, 0.5)


def rig(yaws_deg: dict[str, float], height_px: int = 120) -> Rig:
    camera = PinholeCamera.from_field_of_view(180, height_px, 90)
    return Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(yaw=np.radians(yaw), translation=(0, 0, 1.5))
                @ BODY_T_OPTICAL,
            )
            for name, yaw in yaws_deg.items()
        }
    )


def frame_set(names: list[str], world_T_base: RigidTransform | None = None) -> FrameSet:
    image = np.full((120, 180, 3), 80, np.uint8)
    return FrameSet(1, {name: CameraFrame(name, 1, image) for name in names}, (), world_T_base)


def output(objects: tuple[ObjectBox, ...] = (), health: dict | None = None) -> BevOutput:
    zeros = np.zeros(GRID.shape, np.float32)
    return BevOutput(
        1,
        GRID,
        zeros,
        zeros > 1,
        zeros,
        np.zeros((2, *GRID.shape), np.float32),
        objects,
        health or {},
    )


def test_four_cameras_stand_as_one_turns_the_head() -> None:
    four = rig({"front": 0, "left": 90, "rear": 180, "right": -90})
    assert camera_rows(four) == [["left", "front"], ["rear", "right"]]


def test_six_cameras_stand_as_on_a_car() -> None:
    six = rig({"f": 0, "fr": -55, "fl": 55, "br": -110, "b": 180, "bl": 110})
    assert camera_rows(six) == [["fl", "f", "fr"], ["bl", "b", "br"]]


def test_three_cameras_that_look_ahead_share_a_row() -> None:
    assert camera_rows(rig({"r": -50, "f": 0, "l": 50})) == [["l", "f", "r"]]


@pytest.mark.parametrize("count", range(1, 9))
def test_any_number_of_cameras_gives_an_even_picture(count: int) -> None:
    some = rig({f"c{i}": 360.0 * i / count for i in range(count)})
    image = frame_picture(frame_set(list(some.names)), some, output(), [], width=801)
    assert image.dtype == np.uint8
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    assert abs(image.shape[1] - 801) <= 1


def test_missing_cameras_and_missing_truth_are_fine() -> None:
    two = rig({"front": 0, "rear": 180})
    health = {"rear": CameraHealth(False, "no image in this set")}
    image = frame_picture(frame_set(["front"]), two, output(health=health), None, width=600)
    assert image.shape[1] == 600


def test_predictions_are_drawn_levelled_back_into_the_cameras() -> None:
    """A vehicle that pitches 6 degrees down sees the road ahead higher in its image."""
    one = rig({"front": 0.0})
    level_T_base = levelled(RigidTransform.from_euler(pitch=np.radians(6.0)))
    pose = RigidTransform.from_euler(translation=(12.0, 0.0, 0.8))
    target = ObjectBox("car", 1, pose, np.array([4.0, 1.8, 1.6]))
    in_base = target.transformed(level_T_base.inverse())
    pixels, _ = one["front"].project(in_base.corners)
    views = camera_picture(frame_set(["front"]), one, (), [in_base], 324)
    rows = np.nonzero((np.abs(views.astype(int) - PREDICTION).max(-1) < 40).any(axis=1))[0]
    scale = 324 / 180
    assert rows.mean() == pytest.approx(pixels[:, 1].mean() * scale, abs=6)

    def cameras(said: BevOutput) -> np.ndarray:
        return frame_picture(frame_set(["front"]), one, said, None, width=540)[26:, :300]

    levelled_back = cameras(replace(output((target,)), level_T_base=level_T_base))
    np.testing.assert_array_equal(levelled_back, cameras(output((in_base,))))
    assert (levelled_back != cameras(output((target,)))).any()


def test_several_answers_stand_side_by_side_and_keep_their_objects_out_of_the_views() -> None:
    one = rig({"front": 0.0})
    pose = RigidTransform.from_euler(translation=(12.0, 0.0, 0.8))
    target = ObjectBox("car", 1, pose, np.array([4.0, 1.8, 1.6]))
    answers = {"first": output((target,)), "second": output()}
    image = comparison_picture(frame_set(["front"]), one, answers, [], width=1200)
    assert image.shape[1] == 1200
    orange = np.abs(image[26:].astype(int) - PREDICTION).max(axis=-1) < 30
    columns = np.nonzero(orange[:-40].any(axis=0))[0]  # less the legends
    width = (columns.max() - columns.min()) / 1200
    assert columns.size > 0
    assert width < 0.25, "one panel alone shows the object"
