# SPDX-License-Identifier: Apache-2.0
"""What stays known of objects that are hidden now, and how wrong velocities are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_network import CONFIG

from bev_perception.bags import BagWriter
from bev_perception.datasets import Targets, make_targets
from bev_perception.evaluation import Evaluator, evaluate_bags
from bev_perception.evaluation.answers import EngineRespondent
from bev_perception.evaluation.evaluate import evaluate
from bev_perception.evaluation.hidden_objects import (
    HiddenCounts,
    SightHistory,
    age_name,
    hidden_counts,
    hidden_iou,
    hidden_recall,
    known_share,
)
from bev_perception.evaluation.pictures import draw_moments
from bev_perception.evaluation.velocity_error import (
    moving_velocity_error,
    velocity_error,
    velocity_errors,
)
from bev_perception.geometry import (
    BevGrid,
    BevOutput,
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.inference import RawOutput, TorchEngine
from bev_perception.model import Segnet
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.segnet import SegnetConfig

GRID = BevGrid.centered(30.0, 0.5)
SECOND = 1_000_000_000


def car(
    number: int, x: float, visibility: float = 1.0, velocity: tuple = (0.0, 0.0, 0.0), y: float = 3
) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=0.3, translation=(x, y, 0.8))
    size = np.array([4.5, 1.9, 1.6])
    return ObjectBox("car", number, pose, size, np.array(velocity), visibility)


def answer(boxes: list[ObjectBox], seconds: float) -> BevOutput:
    targets = make_targets(boxes, GRID)
    return BevOutput(
        stamp_ns=round(seconds * SECOND),
        grid=GRID,
        probability=targets.segmentation.astype(np.float32),
        unknown=np.zeros(GRID.shape, dtype=bool),
        center=targets.center,
        offset=targets.offset,
        objects=tuple(boxes),
    )


def test_hidden_is_what_was_seen_before_and_nobody_sees_now() -> None:
    history = SightHistory(min_visibility=0.4)
    assert history.update([car(1, 5), car(2, 9, 0.0), car(3, 13)], 0) == [None, None, None]
    later = [car(1, 5, 0.05), car(2, 9, 0.0), car(3, 13, 0.3)]
    assert history.update(later, SECOND) == [1.0, None, None]
    assert history.update(later, int(2.5 * SECOND)) == [2.5, None, None]
    assert history.update(later, 4 * SECOND) == [None, None, None]  # too long ago
    history.update([car(1, 5)], 5 * SECOND)
    history.begin_drive()
    assert history.update(later, 6 * SECOND) == [None, None, None]


def test_the_classes_of_age_cover_all_ages() -> None:
    names = [age_name(age) for age in (0.1, 0.5, 0.6, 1.0, 1.9, 3.0)]
    assert names == ["0_to_0.5_s"] * 2 + ["0.5_to_1_s"] * 2 + ["1_to_2_s", "2_to_3_s"]


def test_a_map_that_keeps_a_hidden_car_gets_all_of_it_and_one_that_drops_it_nothing() -> None:
    hidden, other = car(1, 5, 0.0), car(2, 12)
    for said, share in (([hidden, other], 1.0), ([other], 0.0)):
        evaluator = Evaluator()
        evaluator.begin_drive()
        evaluator.update(answer([car(1, 5), other], 0.0), [car(1, 5), other])
        evaluator.update(answer(said, 1.0), [hidden, other])
        found = evaluator.compute()["hidden"]["within_25m"]
        assert found["all"] == {"objects": 1, "known": share, "recall": share, "iou": share}
        assert found["0.5_to_1_s"] == found["all"]
        assert found["1_to_2_s"]["objects"] == 0
        assert found["1_to_2_s"]["iou"] is None


def test_a_hidden_car_kept_at_a_wrong_place_costs_iou_but_other_cars_do_not() -> None:
    hidden, neighbour = car(1, 5, 0.0), car(2, 5, y=6.5)
    occupied = make_targets([hidden, neighbour], GRID).segmentation
    shifted = car(1, 6.0)
    counts = hidden_counts(answer([shifted, neighbour], 1.0), hidden, occupied, 0.5, 1.5)
    assert counts.known == 1
    assert 0.5 < hidden_recall(counts) < 0.95
    assert hidden_iou(counts) < hidden_recall(counts)
    right = hidden_counts(answer([hidden, neighbour], 1.0), hidden, occupied, 0.5, 1.5)
    assert hidden_iou(right) == 1.0
    pooled = right + counts
    assert pooled.objects == 2
    assert np.isnan(known_share(HiddenCounts()))


def test_velocity_errors_are_those_of_matched_objects() -> None:
    truth = [car(1, 5, velocity=(3, 4, 0)), car(2, 12), car(3, 20, velocity=(np.nan,) * 3)]
    found = [
        car(9, 5.3, velocity=(3, 2, 0)),
        car(8, 12.2, velocity=(0.5, 0, 0)),
        car(7, 20, velocity=(9, 9, 0)),
        car(6, -20, velocity=(9, 9, 0)),
    ]
    errors = velocity_errors(found, truth, [True] * 3, 1.5)
    assert (errors.objects, errors.moving) == (2, 1)
    assert velocity_error(errors) == pytest.approx(1.25)
    assert moving_velocity_error(errors) == pytest.approx(2.0)
    assert errors.speed == pytest.approx(5.0)
    silent = velocity_errors([car(9, 5.3)], truth, [True] * 3, 1.5)
    assert np.isnan(velocity_error(silent))
    unknown = car(9, 5.3, velocity=(np.nan,) * 3)
    assert velocity_errors([unknown, car(8, 12)], truth, [True] * 3, 1.5).error == 5.0
    assert velocity_errors([unknown, car(8, 12)], truth, [True] * 3, 1.5).told is False


WAITING_CAR = tuple(car(1, 5 - 0.5 * index, 1.0 if index < 2 else 0.0) for index in range(4))
"""Passed by at half a metre per set, and hidden from the third one on."""


def write_drive(
    path: Path, seed: int, cars: Sequence[ObjectBox] = WAITING_CAR, rate_hz: int = 2
) -> Path:
    camera = PinholeCamera.from_field_of_view(96, 64, 100.0)
    rig = Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(yaw=yaw, translation=(0.0, 0.0, 1.6)) @ BODY_T_OPTICAL,
                f"{name}_optical_frame",
            )
            for name, yaw in (("front", 0.0), ("rear", np.pi))
        }
    )
    random = np.random.default_rng(seed)
    with BagWriter(path) as writer:
        writer.write_rig(rig, SECOND)
        for index, each in enumerate(cars):
            stamp_ns = SECOND + index * SECOND // rate_hz
            frames = {
                name: CameraFrame(
                    name, stamp_ns, random.integers(0, 255, (64, 96, 3), dtype=np.uint8)
                )
                for name in rig.names
            }
            pose = RigidTransform.from_euler(translation=(0.5 * index, 0.0, 0.0))
            writer.write_frame_set(FrameSet(stamp_ns, frames, (), pose), rig)
            writer.write_objects(stamp_ns, (each,))
    return path


def engine() -> TorchEngine:
    torch.manual_seed(0)
    values = {**CONFIG.to_dict(), "memory": MemoryConfig("gru").to_dict()}
    model = Segnet(SegnetConfig.from_dict(values))
    assert model.memory is not None
    torch.nn.init.normal_(model.memory.to_bev.weight, std=0.3)
    return TorchEngine(model)


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drives")
    return [write_drive(folder / f"drive{seed}", seed) for seed in (1, 2)]


def test_drives_judged_together_are_judged_as_each_alone(drives: list[Path]) -> None:
    """Nothing of one drive is remembered in the next: shares of a split may go to processes."""
    runner = engine()

    def frames(bags: list[Path]) -> list:
        return list(evaluate(bags, EngineRespondent(runner), show_progress=False).frames)

    assert frames(drives[::-1]) == frames(drives[1:]) + frames(drives[:1])


def test_an_evaluation_in_order_tells_of_hidden_objects(drives: list[Path]) -> None:
    metrics = evaluate_bags(drives, engine(), show_progress=False)
    assert metrics["hidden"]["within_25m"]["all"]["objects"] == 4
    assert metrics["hidden"]["within_25m"]["0_to_0.5_s"]["objects"] == 2
    assert metrics["hidden"]["within_25m"]["0.5_to_1_s"]["objects"] == 2


def test_pictures_show_what_was_said_with_all_that_came_before(
    drives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    respondent = EngineRespondent(engine())
    result = evaluate(drives[:1], respondent, show_progress=False)
    drawn: list[BevOutput] = []

    def note(*arguments: object) -> np.ndarray:
        drawn.append(arguments[2])  # type: ignore[arg-type]
        return np.zeros((4, 4, 3), dtype=np.uint8)

    monkeypatch.setattr("bev_perception.evaluation.pictures.frame_picture", note)
    draw_moments(result.frames[-1:], {"prediction": respondent})
    from bev_perception.datasets.drives import open_drive

    with open_drive(drives[0]) as drive:
        *_, (_, last) = respondent.answers(drive, drive.sets())
        *_, alone = drive.sets()
        [(_, single)] = respondent.answers(drive, [alone])
    assert np.array_equal(drawn[0].probability, last.probability)
    assert not np.array_equal(drawn[0].probability, single.probability)


class _SaysWhatIs(TorchEngine):
    """Answers set after set with what it is told to say."""

    def __init__(self, said: Iterable[Targets]) -> None:
        super().__init__(Segnet(CONFIG))
        self._said = iter(said)

    def infer(self, *arguments: object, **named: object) -> RawOutput:
        targets = next(self._said)
        occupied = targets.segmentation.astype(np.float32)
        return RawOutput(occupied, targets.center, targets.offset)


def test_velocities_of_a_network_that_tells_none_are_those_of_the_tracker(tmp_path: Path) -> None:
    cars = [car(1, 0.5 * index - 3, velocity=(10.0, 0.0, 0.0)) for index in range(12)]
    drive = write_drive(tmp_path / "drive", 1, cars, rate_hz=10)
    said = [make_targets([each], CONFIG.grid) for each in cars]
    velocity = evaluate_bags([drive], _SaysWhatIs(said), show_progress=False)["velocity"]
    assert velocity["objects"] == velocity["moving"] == 12
    assert velocity["moving_speed"] == pytest.approx(10.0)
    assert 0.0 < velocity["moving_error"] < 3.0  # 10 while it is new, then less and less
