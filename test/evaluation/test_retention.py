# SPDX-License-Identifier: Apache-2.0
"""What is kept with cameras turned, raised or lost is measured on the right images and cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_network import CONFIG

from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.datasets.targets import make_targets
from bev_perception.errors import BagError, ConfigurationError
from bev_perception.evaluation.overlap import overlap
from bev_perception.evaluation.perturbations import (
    Perturbation,
    taken_set,
    told_rig,
    usual_perturbations,
)
from bev_perception.evaluation.retention import Retention
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.inference import RawOutput
from bev_perception.model.feature_memory import Entry
from bev_perception.model.memory_config import MemoryConfig

CAMERA = PinholeCamera.from_field_of_view(192, 128, 90.0)


def mounted(yaw_deg):
    pose = RigidTransform.from_euler(yaw=np.radians(yaw_deg), translation=(1.0, 0.0, 1.6))
    return RigCamera(CAMERA, pose @ BODY_T_OPTICAL)


RIG = Rig({"front": mounted(0), "left": mounted(90)})
SPOTS = np.array([[9.0, 1.0, 0.0], [14.0, -3.0, 1.0], [8.0, 2.0, 2.0]])
"""Points in base_link that the front camera sees."""


def photographed(rig):
    """Images of a grey world with a white dot at every spot."""
    frames = {}
    for name, entry in rig.cameras.items():
        columns, rows = np.meshgrid(np.arange(192), np.arange(128))
        image = np.full((128, 192), 60.0)
        pixels, valid = entry.project(SPOTS)
        for u, v in pixels[valid]:
            image += 190.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 8.0)
        shown = np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        shown[::16, ::16] += 5  # not of one colour all over
        frames[name] = CameraFrame(name, 1, shown)
    return FrameSet(1, frames)


@pytest.mark.parametrize("change", [Perturbation("known", pitch_deg=3.0),
                                    Perturbation("known", yaw_deg=-4.0)])  # fmt: skip
def test_known_turns_show_what_the_told_cameras_would_see(change):
    told = told_rig(RIG, change)
    image = taken_set(photographed(RIG), RIG, change).frames["front"].image[..., 0]
    expected = photographed(told).frames["front"].image[..., 0]
    pixels, _ = told["front"].project(SPOTS)
    before, _ = RIG["front"].project(SPOTS)
    assert np.linalg.norm(pixels - before, axis=1).min() > 4.0
    for u, v in pixels.round().astype(int):
        around = np.s_[v - 6 : v + 7, u - 6 : u + 7]
        np.testing.assert_allclose(image[around].astype(int), expected[around], atol=16)
    np.testing.assert_array_equal(told["front"].base_T_camera.translation, [1.0, 0.0, 1.6])


def test_a_positive_pitch_looks_down_and_a_positive_yaw_left():
    ahead = np.array([[9.0, 0.0, 1.6]])
    (u0, v0), (u1, v1), (u2, _) = (
        told_rig(RIG, change)["front"].project(ahead)[0][0]
        for change in (
            Perturbation("known"),
            Perturbation("known", pitch_deg=2.0),
            Perturbation("known", yaw_deg=2.0),
        )
    )
    assert v1 < v0 - 1  # looking down, what is ahead moves up in the image
    assert u1 == pytest.approx(u0)
    assert u2 > u0 + 1


def test_an_unnoticed_pitch_is_in_the_images_and_not_in_the_rig():
    told, seen = (Perturbation(kind, pitch_deg=2.0) for kind in ("known", "unnoticed"))
    assert told_rig(RIG, seen) is RIG
    expected = taken_set(photographed(RIG), RIG, told).frames["front"].image
    found = taken_set(photographed(RIG), RIG, seen).frames["front"].image
    np.testing.assert_array_equal(found, expected)
    assert (found != photographed(RIG).frames["front"].image).mean() > 0.01
    with pytest.raises(ConfigurationError, match="recorded with such a rig"):
        Perturbation("unnoticed", height_m=0.1)
    wall = np.array([[10.0, 0.0, 1.0]])  # a vehicle that looks down has it higher up
    leaning = taken_set(replace(photographed(RIG), points=wall), RIG, seen).points
    assert leaning[0, 2] == pytest.approx(1.0 * np.cos(0.0349) + 10.0 * np.sin(0.0349), abs=1e-2)


def test_unknown_changes_leave_images_and_move_the_told_cameras():
    frame_set, change = photographed(RIG), Perturbation("unknown", height_m=0.2)
    assert taken_set(frame_set, RIG, change) is frame_set
    told = told_rig(RIG, change)
    np.testing.assert_allclose(told["left"].base_T_camera.translation, [1.0, 0.0, 1.8])
    whole = told_rig(RIG, Perturbation("unknown", pitch_deg=2.0))["front"].base_T_camera
    assert whole.translation[2] == pytest.approx(1.6 * np.cos(0.0349) - np.sin(0.0349), abs=1e-3)


def test_another_known_height_cannot_be_made():
    with pytest.raises(ConfigurationError, match="recorded with such a rig"):
        Perturbation("known", height_m=0.2)


def test_the_usual_ones_lose_every_camera_once():
    names = [change.name for change in usual_perturbations(RIG.names)]
    assert len(names) == len(set(names))
    assert {"without camera front", "without camera left", "pitch +2°, unknown"} <= set(names)


def car(x, y):
    pose = RigidTransform.from_euler(translation=(x, y, 0.8))
    return ObjectBox("car", 0, pose, np.array([4.5, 2.0, 1.6]), visibility=1.0)


class SeeingEngine:
    """Says the truth on every cell that it sees; nothing in a rig unlike the first it is told."""

    config = CONFIG
    backend = device = "cpu"
    precision = "fp32"

    def __init__(self, truth):
        self.truth, self.first = truth, None

    def infer(self, images, taps):
        self.first = taps.seen if self.first is None else self.first
        is_part = not (taps.seen & ~self.first).any()
        maps = np.zeros((4, *CONFIG.grid.shape), dtype=np.float32)
        maps[0] = self.truth & taps.seen & is_part
        return RawOutput(maps[0], maps[1], maps[2:])


def test_a_lost_camera_costs_nothing_on_the_cells_that_the_others_see_and_a_wrong_rig_all():
    boxes = (car(9.0, 0.0), car(0.0, 9.0))
    engine = SeeingEngine(make_targets(boxes, CONFIG.grid).segmentation)
    retention = Retention(engine)
    changes = (Perturbation("lost", ("left",)), Perturbation("unknown", yaw_deg=10.0))
    retention.update(RIG, [LabelledSet(photographed(RIG), boxes)], changes)
    result = retention.compute()
    assert result["sets"] == 1
    lost, unknown = result["perturbations"]
    assert lost["name"] == "without camera left"
    assert (lost["iou_before"], lost["iou"], lost["retained"]) == (1.0, 1.0, 1.0)
    assert unknown["iou_before"] == result["iou"] == 1.0
    assert (unknown["iou"], unknown["retained"]) == (0.0, 0.0)


class MeasuringEngine(SeeingEngine):
    """Says the truth where a LiDAR has points, half of it by images alone."""

    config = replace(CONFIG, sensor="lidar")

    def infer(self, images, taps, resize, memory, sensor_map):
        known = self.truth.copy()
        if not sensor_map.any():
            known[:, CONFIG.grid.x_centers > 9.0] = False
        maps = np.zeros((4, *CONFIG.grid.shape), dtype=np.float32)
        maps[0] = known & taps.seen
        return RawOutput(maps[0], maps[1], maps[2:])


def test_what_is_kept_without_points_counts_sets_that_had_some():
    assert "without points" not in [change.name for change in usual_perturbations(RIG.names)]
    changes = usual_perturbations(RIG.names, "lidar")
    assert [change.name for change in changes].count("without points") == 1
    boxes = (car(9.0, 0.0), car(0.0, 9.0))
    measured = replace(photographed(RIG), points=np.array([[9.0, 0.0, 1.0]]))
    retention = Retention(MeasuringEngine(make_targets(boxes, CONFIG.grid).segmentation))
    sets = [LabelledSet(frame_set, boxes) for frame_set in (measured, photographed(RIG))]
    retention.update(RIG, sets, changes)
    entries = {entry["name"]: entry for entry in retention.compute()["perturbations"]}
    found = entries["without points"]
    assert found["kind"] == "lost points"
    assert found["iou_before"] == 1.0 > entries["without camera left"]["iou_before"]
    assert 0.4 < found["iou"] == found["retained"] < 0.9


class RememberingEngine(SeeingEngine):
    """Says the truth once it has met three sets of one stream, all under one rig."""

    config = replace(CONFIG, memory=MemoryConfig("queue", interval_s=0.01, time_slots=8))

    def __init__(self, truth):
        super().__init__(truth)
        self.met = []

    def infer(self, images, taps, resize, step, measured):
        (memory,), (moment,) = step.memories, step.moments
        state, _ = memory.begin(moment)
        seen = torch.from_numpy(np.asarray(taps.seen))
        memory.store(state.pushed(Entry(moment, seen), self.config.memory))
        alike = all(bool((entry.feature == seen).all()) for entry in state.by_time)
        self.met.append(len(state.by_time))
        maps = np.zeros((4, *CONFIG.grid.shape), dtype=np.float32)
        maps[0] = self.truth & (alike and self.met[-1] >= 3)
        return RawOutput(maps[0], maps[1], maps[2:])


@pytest.mark.parametrize(
    ("stride", "judged", "met"),
    [(4, 3, [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]), (6, 2, [0, 1, 2, 3, 4] * 2)],
)
def test_a_network_with_memory_meets_each_perturbation_in_a_stream_of_its_own(stride, judged, met):
    """Sets come every 0.5 s; HISTORY_NS is 2 s."""
    boxes = (car(9.0, 0.0),)
    engine = RememberingEngine(make_targets(boxes, CONFIG.grid).segmentation)
    frames, pose = photographed(RIG).frames, RigidTransform.identity()
    sets = [
        LabelledSet(FrameSet(number * 500_000_000, frames, world_T_base=pose), boxes)
        for number in range(12)
    ]
    retention = Retention(engine)
    changes = (Perturbation("lost", ("left",)), Perturbation("unknown", pitch_deg=3.0))
    retention.update(RIG, sets, changes, stride)
    result = retention.compute()
    assert result["sets"] == judged
    assert [entry["iou"] for entry in (result, *result["perturbations"])] == [1.0, 1.0, 1.0]
    assert engine.met[::3] == engine.met[1::3] == engine.met[2::3] == met


def test_a_network_with_memory_that_met_too_few_sets_is_told_and_has_no_figures():
    boxes = (car(9.0, 0.0),)
    retention = Retention(RememberingEngine(make_targets(boxes, CONFIG.grid).segmentation))
    frames, pose = photographed(RIG).frames, RigidTransform.identity()
    sets = [LabelledSet(FrameSet(n * 10**8, frames, world_T_base=pose), boxes) for n in range(4)]
    retention.update(RIG, sets, (), stride=5)
    with pytest.raises(BagError, match="smaller --retention-stride"):
        retention.compute()
    retention.update(RIG, sets, (), stride=4)
    assert retention.compute()["sets"] == 1


def test_points_are_told_as_wrongly_as_cameras():
    """What the told front camera makes of a told point is what the true one made of the true."""
    points = np.column_stack([SPOTS, np.arange(3.0)])
    frame_set = replace(photographed(RIG), points=points)
    change = Perturbation("unknown", pitch_deg=2.0, height_m=0.1)
    told = taken_set(frame_set, RIG, change)
    assert told.frames is frame_set.frames
    np.testing.assert_array_equal(told.points[:, 3], points[:, 3])
    assert np.abs(told.points[:, 2] - points[:, 2]).min() > 0.1
    expected, _ = RIG["front"].project(SPOTS)
    found, _ = told_rig(RIG, change)["front"].project(told.points[:, :3])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_overlap_counts_chosen_cells_alone():
    said = np.array([[True, True, False, False]])
    true = np.array([[True, False, True, True]])
    counted = np.array([[True, True, True, False]])
    found = overlap(said, true, counted)
    assert (found.intersection, found.union) == (1, 3)
    assert (found + found).iou == pytest.approx(1 / 3)
