# SPDX-License-Identifier: Apache-2.0
"""How well an IMU tells roll and pitch of a vehicle that nods, and what that is worth.

    python benchmarks/imu_attitude.py --towns 11000..11019 --judged 2 --judged-sets 40

Drives through towns whose body nods by up to 3 degrees as its braking and setting off make it. The
ego pose is planar: heading and place, ten times per second, with noise; or there is none. From two
seconds after the first set on, attitudes are compared with the truth. Some drives are rendered, and
their maps judged: levelled by the true attitude, by none, and by the IMU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm import tqdm

from bev_perception.cli.simulate import town_seeds
from bev_perception.evaluation.evaluator import Evaluator
from bev_perception.geometry import FrameSet, RigidTransform, load_rig
from bev_perception.geometry.frames import levelled
from bev_perception.inference import load_engine
from bev_perception.model import resolve_weights
from bev_perception.perception import Pipeline
from bev_perception.perception.imu_levelling import ImuLevelling
from bev_perception.resources import config_path
from bev_perception.simulation.motion import IMU_MOUNTING, DriveMotion, imu_samples
from bev_perception.simulation.simulator import Simulator
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic

SECOND = 1_000_000_000
RATE_HZ, SETTLED_S = 10, 2.0
GOAL_DEG = 0.3
JUDGED_EVERY = 3
WARM_UP_S = 5.0

Poses = Callable[[int], "RigidTransform | None"]


@dataclass
class Errors:
    """Of roll and pitch, degrees."""

    known: list[tuple[float, float]] = field(default_factory=list)
    asked: int = 0

    def line(self, name: str) -> str:
        """Of the table."""
        text = f"{name:30s} {len(self.known) / self.asked:6.0%}"
        if not self.known:
            return text
        size = np.abs(np.array(self.known))
        for column in size.T:
            text += f"  {np.median(column):5.2f} / {np.percentile(column, 95):5.2f}"
            text += f" / {column.max():5.2f}"
        return text + f"  {(size.max(axis=1) < GOAL_DEG).mean():7.1%}"


def town_motion(seed: int, num_sets: int, nod_deg: float) -> DriveMotion:
    """As bev simulate drives it, with a body that nods."""
    traffic, poses = Traffic(Town(seed), seed), []
    for _ in range(round(WARM_UP_S * RATE_HZ)):
        traffic.step(1.0 / RATE_HZ)
    for number in range(num_sets):
        poses.append((SECOND + number * SECOND // RATE_HZ, traffic.state().map_T_base))
        traffic.step(1.0 / RATE_HZ)
    return DriveMotion(poses, nod_deg)


def planar_poses(motion: DriveMotion, noise_m: float, seed: int) -> Poses:
    """Heading and noisy place, interpolated as TF does it."""
    first_ns, last_ns = motion.stamps_ns
    stamps = list(range(first_ns, last_ns + 1, SECOND // RATE_HZ))
    true = [motion.pose(stamp) for stamp in stamps]
    places = np.stack([pose.translation for pose in true])
    places[:, :2] += np.random.default_rng(seed).normal(0.0, noise_m, (len(places), 2))
    yaws = np.unwrap([pose.yaw for pose in true])

    def at(stamp_ns: int) -> RigidTransform:
        place = [float(np.interp(stamp_ns, stamps, column)) for column in places.T]
        yaw = float(np.interp(stamp_ns, stamps, yaws))
        return RigidTransform.from_euler(yaw=yaw, translation=place)

    return at


def attitudes(motion: DriveMotion, poses: Poses, seed: int) -> dict[int, RigidTransform | None]:
    """By the IMU, at every set's stamp."""
    levelling = ImuLevelling(poses, lambda frame, stamp_ns: IMU_MOUNTING)
    found: dict[int, RigidTransform | None] = {}
    for sample in imu_samples(motion, seed=seed):
        levelling.add(sample)
        if (sample.stamp_ns - SECOND) % (SECOND // RATE_HZ) == 0:
            found[sample.stamp_ns] = levelling.at(sample.stamp_ns, None)[1]
    return found


def compare(motion: DriveMotion, found: dict[int, RigidTransform | None], errors: Errors) -> None:
    """Adds the errors of one drive."""
    for stamp_ns, attitude in found.items():
        if stamp_ns - SECOND >= SETTLED_S * SECOND:
            errors.asked += 1
            if attitude is not None:
                rest = np.degrees(attitude.euler[:2] - motion.pose(stamp_ns).euler[:2])
                errors.known.append((float(rest[0]), float(rest[1])))


class NoddingTraffic:
    """Traffic whose ego vehicle moves as a motion says; all else as it is."""

    def __init__(self, traffic: Traffic, motion: DriveMotion) -> None:
        self._traffic, self._motion = traffic, motion
        self.step = traffic.step
        self.now_ns = SECOND

    def state(self) -> object:
        """Of the world, at now_ns of the motion."""
        return replace(self._traffic.state(), map_T_base=self._motion.pose(self.now_ns))


def judge(
    seed: int,
    motion: DriveMotion,
    found: dict[int, RigidTransform | None],
    pipeline: Pipeline,
    evaluators: dict[str, Evaluator],
) -> None:
    """Renders one drive and judges its maps, levelled in three ways."""
    with Simulator(seed, load_rig(config_path("rigs/default.yaml")), RATE_HZ) as simulator:
        nodding = NoddingTraffic(simulator.traffic, motion)
        simulator.traffic = nodding  # type: ignore[assignment]
        for number, _ in enumerate(found):
            nodding.now_ns = SECOND + number * SECOND // RATE_HZ
            simulated = next(iter(simulator.run(1)))
            stamp_ns = simulated.frame_set.stamp_ns
            if number % JUDGED_EVERY or stamp_ns - SECOND < SETTLED_S * SECOND:
                continue
            true = levelled(motion.pose(stamp_ns))
            told = {"true attitude": true, "none": None, "IMU": found[stamp_ns]}
            for name, attitude in told.items():
                frame_set = FrameSet(stamp_ns, simulated.frame_set.frames, level_T_base=attitude)
                output = pipeline.process(frame_set)
                truth = [box.transformed(true) for box in simulated.objects]
                evaluators[name].update(output, truth)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--towns", default="11000..11019")
    parser.add_argument("--judged", type=int, default=6, help="so many of them are rendered")
    parser.add_argument("--sets", type=int, default=200, help="of a drive, at 10 Hz")
    parser.add_argument("--judged-sets", type=int, default=50)
    parser.add_argument("--nod-deg", type=float, default=3.0)
    parser.add_argument("--noise-m", type=float, default=0.01, help="of every pose's place")
    parser.add_argument("--weights", default="tiny")
    options = parser.parse_args()
    seeds = town_seeds(options.towns)
    rows = {"IMU, planar ego pose": Errors(), "IMU, no ego pose": Errors(), "no IMU": Errors()}
    for seed in tqdm(seeds, desc="attitudes", unit="town"):
        motion = town_motion(seed, options.sets, options.nod_deg)
        poses = planar_poses(motion, options.noise_m, seed)
        with_pose = attitudes(motion, poses, seed)
        compare(motion, with_pose, rows["IMU, planar ego pose"])
        compare(motion, attitudes(motion, lambda stamp_ns: None, seed), rows["IMU, no ego pose"])
        compare(motion, dict.fromkeys(with_pose, RigidTransform.identity()), rows["no IMU"])
    print(f"{len(seeds)} towns, nodding by up to {options.nod_deg:g}°, from {SETTLED_S:g} s on")
    print(f"{'':30s} {'known':>6s}  {'roll: median / 95 % / max':>21s}", end="")
    print(f"  {'pitch: the same':>21s}  {f'< {GOAL_DEG}°':>7s}")
    for name, errors in rows.items():
        print(errors.line(name))
    if options.judged:
        evaluators = {name: Evaluator() for name in ("true attitude", "none", "IMU")}
        pipeline = Pipeline(
            load_engine(resolve_weights(options.weights)),
            load_rig(config_path("rigs/default.yaml")),
        )
        for seed in tqdm(seeds[: options.judged], desc="maps", unit="town"):
            motion = town_motion(seed, options.judged_sets, options.nod_deg)
            found = attitudes(motion, planar_poses(motion, options.noise_m, seed), seed)
            judge(seed, motion, found, pipeline, evaluators)
        for name, evaluator in evaluators.items():
            iou = float(evaluator.compute()["iou"]["within_25m"])
            print(f"IoU within 25 m, levelled by {name:14s} {iou:.3f}")


if __name__ == "__main__":
    main()
