# SPDX-License-Identifier: Apache-2.0
"""How well errors of attitude and height are measured in images, and what taking them out is worth.

    bev simulate --town 11000..11011 --sets 30 --rate-hz 10 --out DRIVES
    python benchmarks/residual_pose.py DRIVES [--still BAG] [--parts step] [--told "pitch +2°"]

The rig is told wrong by a turn and a lift of the whole vehicle; images and labels stay true. From
two seconds after the first set on, the estimate is compared with the truth, and some sets are
judged with the wrong rig and with the wrong rig corrected. Then one camera alone is told wrong, as
if its mount had slipped, and the pose alone is told wrong from one moment on. With --still, the
first set of another bag is shown again and again, with the calibration it has and with known
errors added.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import thread_time

import numpy as np
from tqdm import tqdm

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.evaluation.evaluator import Evaluator
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.inference import Engine, load_engine
from bev_perception.model import resolve_weights
from bev_perception.perception import Pipeline, PipelineSettings
from bev_perception.residual_pose import PoseCorrection, PoseResidual, ResidualPoseEstimator

SETTLED_S = 2.0
GOAL_DEG, GOAL_KEPT = 0.3, 0.90
JUDGED_EVERY = 4
SLIPPED_DEG = 2.0
STEP_DEG = 2.0
PARTS = ("errors", "slipped", "step")


@dataclass(frozen=True)
class Told:
    """By how much more than the truth a rig is told: degrees, metres."""

    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    height_m: float = 0.0
    has_pose: bool = True

    @property
    def name(self) -> str:
        """For the table."""
        parts = [
            f"{name} {value:+g}{unit}"
            for name, value, unit in (
                ("roll", self.roll_deg, "°"),
                ("pitch", self.pitch_deg, "°"),
                ("height", self.height_m, " m"),
            )
            if value
        ]
        return (", ".join(parts) or "none") + ("" if self.has_pose else ", no poses")

    def rig(self, rig: Rig) -> Rig:
        """As it is told."""
        roll, pitch = math.radians(self.roll_deg), math.radians(self.pitch_deg)
        return rig.moved(RigidTransform.from_euler(roll, pitch, 0.0, (0.0, 0.0, self.height_m)))

    def error(self, residual: PoseResidual) -> tuple[float, float, float]:
        """What the estimate leaves: roll, pitch, height."""
        return (
            residual.roll_deg + self.roll_deg,
            residual.pitch_deg + self.pitch_deg,
            residual.height_m + self.height_m,
        )


TRUTH = (Told(), Told(has_pose=False))
"""What the errors are compared with."""

ERRORS = (
    TRUTH[0],
    *(Told(pitch_deg=value) for value in (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)),
    *(Told(roll_deg=value) for value in (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)),
    *(Told(height_m=value) for value in (-0.2, -0.1, 0.1, 0.2)),
    Told(2.0, -3.0, 0.2),
    TRUTH[1],
    Told(pitch_deg=2.0, has_pose=False),
    Told(-2.0, -2.0, has_pose=False),
)


@dataclass
class Row:
    """What one error led to, over all drives."""

    errors: list[tuple[float, float, float]] = field(default_factory=list)
    wrong: Evaluator = field(default_factory=Evaluator)
    corrected: Evaluator = field(default_factory=Evaluator)


def run_drive(engine: Engine, rig: Rig, sets: Sequence[LabelledSet], told: Told, row: Row) -> None:
    """One drive with one error."""
    told_rig = told.rig(rig)
    wrong = Pipeline(engine, told_rig)
    corrected = Pipeline(engine, told_rig, PipelineSettings(residual_pose=True))
    first_ns = sets[0].frame_set.stamp_ns
    for number, labelled in enumerate(sets):
        frame_set = labelled.frame_set
        if not told.has_pose:
            frame_set = replace(frame_set, world_T_base=None)
        settled = frame_set.stamp_ns - first_ns >= SETTLED_S * 1e9
        if settled and number % JUDGED_EVERY == 0:
            for pipeline, evaluator in ((corrected, row.corrected), (wrong, row.wrong)):
                output = pipeline.process(frame_set)
                truth = [box.transformed(output.level_T_base) for box in labelled.objects]
                evaluator.update(output, truth)
        else:
            corrected.observe(frame_set)
        corrected.settle()
        if settled and corrected.residual is not None:
            row.errors.append(told.error(corrected.residual))


def near_iou(evaluator: Evaluator) -> float:
    """Within 25 m."""
    return float(evaluator.compute()["iou"]["within_25m"])


def print_errors(rows: dict[Told, Row]) -> None:
    """One line for each error."""
    print(f"\ngoal: angles within {GOAL_DEG}°, {GOAL_KEPT:.0%} of the IoU kept")
    print(
        f"{'told wrong by':34s} {'roll error °':>14s} {'pitch error °':>14s} "
        f"{'height error m':>15s} {'IoU wrong':>10s} {'corrected':>10s} {'kept':>12s}"
    )
    print(f"{'':34s}" + f" {'median / 95 %':>14s}" * 2 + f" {'median / 95 %':>15s}")
    true = {told.has_pose: near_iou(row.wrong) for told, row in rows.items() if told in TRUTH}
    for told, row in rows.items():
        size = np.abs(np.array(row.errors))
        middle, high = np.median(size, axis=0), np.percentile(size, 95, axis=0)
        wrong, corrected = near_iou(row.wrong), near_iou(row.corrected)
        before = true[told.has_pose]
        print(
            f"{told.name:34s} {middle[0]:6.2f} / {high[0]:5.2f} {middle[1]:6.2f} / {high[1]:5.2f} "
            f"{middle[2]:7.3f} / {high[2]:5.3f} {wrong:10.3f} {corrected:10.3f} "
            f"{wrong / before:4.0%} -> {corrected / before:4.0%}"
        )


def slipped(rig: Rig, camera: str) -> Rig:
    """The rig with one camera told to look too far down."""
    return PoseCorrection(cameras=((camera, 0.0, SLIPPED_DEG),)).applied(rig)


def loaded(bag: Path) -> tuple[Rig, list[LabelledSet]]:
    """A drive in memory."""
    with open_drive(bag) as drive:
        return drive.rig, list(drive.sets())


def print_slipped(bags: Sequence[Path]) -> None:
    """Whether one slipped camera is told from the others, at the end of each drive."""
    found, false, rest, total = 0, 0, [], 0
    for bag in tqdm(bags, desc="slipped mounts", unit="drive"):
        rig, sets = loaded(bag)
        for camera in rig.names:
            estimator = ResidualPoseEstimator(slipped(rig, camera))
            for labelled in sets:
                estimator.observe(labelled.frame_set)
            total += 1
            for name, tilt in estimator.residual.cameras.items():
                found += tilt.is_slipped and name == camera
                false += tilt.is_slipped and name != camera
                if tilt.is_slipped and name == camera:
                    rest.append(math.hypot(tilt.roll_deg, tilt.pitch_deg + SLIPPED_DEG))
    print(
        f"\none camera told wrong by pitch {SLIPPED_DEG:+g}°: found in {found} of {total} drives, "
        f"angle off by {np.median(rest):.2f}° (median), {false} other cameras accused"
    )


def print_still(bag: Path) -> None:
    """Estimates for one set shown for several seconds."""
    with open_drive(bag) as drive:
        rig, labelled = drive.rig, next(iter(drive.sets()))
    print(f"\n{bag.name}, one set, measured minus told (+ what was added): degrees")
    for told in ERRORS[:13]:
        estimator = ResidualPoseEstimator(told.rig(rig))
        frame_set = labelled.frame_set
        for _ in range(12):
            estimator.observe(frame_set)
            frame_set = replace(frame_set, stamp_ns=frame_set.stamp_ns + 500_000_000)
        residual = estimator.residual
        roll, pitch, _ = told.error(residual)
        known = "" if residual.is_attitude_known else "  unknown: not used"
        print(f"{told.name:20s} roll {roll:+.2f} pitch {pitch:+.2f}{known}")


def measure_errors(bags: Sequence[Path], weights: str, errors: Sequence[Told]) -> None:
    """All these errors in all drives."""
    engine = load_engine(resolve_weights(weights))
    rows = {told: Row() for told in errors}
    with tqdm(total=len(bags) * len(rows), unit="run") as bar:
        for bag in bags:
            rig, sets = loaded(bag)
            for told, row in rows.items():
                run_drive(engine, rig, sets, told, row)
                bar.update()
    print(f"{len(bags)} drives, weights {weights}, {SETTLED_S:g} s after the first set on")
    print_errors(rows)


def chosen(names: Sequence[str] | None) -> list[Told]:
    """The errors of some names, or all, and the truth that they are compared with."""
    wanted = [told for told in ERRORS if not names or told.name in names]
    poses = {told.has_pose for told in wanted}
    return [told for told in ERRORS if told in wanted or (told in TRUTH and told.has_pose in poses)]


def print_steps(bags: Sequence[Path]) -> None:
    """How long a sudden pitch, which the pose does not tell, takes to be known, and its cost."""
    delays, costs = [], []
    for bag in tqdm(bags, desc="steps", unit="drive"):
        rig, sets = loaded(bag)
        estimator = ResidualPoseEstimator(rig)
        begin_ns = sets[len(sets) // 2].frame_set.stamp_ns
        known_ns = None
        for labelled in sets:
            frame_set, step_deg = labelled.frame_set, 0.0
            if frame_set.stamp_ns >= begin_ns and frame_set.world_T_base is not None:
                step_deg = STEP_DEG
                turn = RigidTransform.from_euler(0.0, math.radians(step_deg))
                frame_set = replace(frame_set, world_T_base=frame_set.world_T_base @ turn)
            began = thread_time()
            pitch_deg = estimator.observe(frame_set).pitch_deg
            costs.append((thread_time() - began) * 1e3)
            if known_ns is None and step_deg and abs(pitch_deg + step_deg) < GOAL_DEG:
                known_ns = frame_set.stamp_ns
        delays.append(math.inf if known_ns is None else (known_ns - begin_ns) / 1e9)
    print(
        f"\npitch {STEP_DEG:+g}° all at once: within {GOAL_DEG}° after {np.median(delays):.1f} s "
        f"(median), {max(delays):.1f} s (longest of {len(delays)} drives); processor time of a set "
        f"{np.median(costs):.1f} ms (median), {np.percentile(costs, 95):.1f} ms (95 %)"
    )


def main() -> None:
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bags", nargs="+", type=Path, help="labelled drives of 3 s at 10 Hz")
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--still", type=Path, help="bag of which one set is shown again and again")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--told", nargs="+", help="only these errors, by their names in the table")
    parser.add_argument("--slipped", type=int, default=4, help="drives for slipped mounts")
    options = parser.parse_args()
    bags = find_bags(options.bags)
    if "errors" in options.parts:
        measure_errors(bags, options.weights, chosen(options.told))
    if "slipped" in options.parts:
        print_slipped(bags[: options.slipped])
    if "step" in options.parts:
        print_steps(bags)
    if options.still is not None:
        print_still(options.still)


if __name__ == "__main__":
    main()
