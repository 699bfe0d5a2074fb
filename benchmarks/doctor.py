# SPDX-License-Identifier: Apache-2.0
"""What `bev doctor` finds in images, and what it only believes to find, over many drives.

    bev simulate --town 11000..11019 --sets 40 --rate-hz 10 --out DRIVES
    python benchmarks/doctor.py DRIVES/town_* [--jobs 2]

Every drive is looked at as it is, and once for each error, put into one camera that is drawn at
random (two where cameras are exchanged). A rig that is told wrong stands for a camera that is
mounted wrong. Found: a warning or error on that camera that names the very error. False: warnings
or errors on any other camera, or that name another error.
"""

from __future__ import annotations

import argparse
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from bev_perception.doctor.bag_observation import observe_bag
from bev_perception.doctor.checks import CHECKS
from bev_perception.doctor.examination import examine
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.geometry_assignment import assign
from bev_perception.doctor.geometry_check import estimate_all, judge_geometry
from bev_perception.doctor.geometry_direction import Flip
from bev_perception.doctor.geometry_evidence import ImagePair, image_pair
from bev_perception.doctor.geometry_mounting import MountingEstimate
from bev_perception.doctor.geometry_residuals import Error, mended
from bev_perception.doctor.image_checks import check_content, check_frozen
from bev_perception.doctor.orientation_check import judge_orientation
from bev_perception.doctor.recording import CameraTrack, Observation
from bev_perception.doctor.sight import Sight, decoded, sight
from bev_perception.geometry import Rig

ANGLE = math.radians(3.0)
RIG_ERRORS = {
    "yaw 3 deg": (Error.YAW, ANGLE, "further"),
    "pitch 3 deg": (Error.PITCH, ANGLE, "further"),
    "roll 3 deg": (Error.ROLL, ANGLE, "about its view"),
    "height 0.3 m": (Error.HEIGHT, 0.3, "road lies"),
    "focal length 10 %": (Error.FOCAL, math.log(1.1), "focal length"),
}
"""Place, size and a word of the finding."""

FLIPS = {
    "upside-down": Flip.UPSIDE_DOWN,
    "mirrored": Flip.MIRRORED,
}
UNITS = {Error.YAW: "deg", Error.PITCH: "deg", Error.ROLL: "deg", Error.HEIGHT: "m",
         Error.FOCAL: "%"}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Of one drive with one error.

    Attributes:
        error: its name, "none" without.
        found: whether it was named.
        false: warnings and errors beside it.
        unjudged: whether the camera was said to be not judged.
        off: (place, true minus estimated error) of all estimates.
    """

    error: str
    found: bool
    false: tuple[str, ...]
    unjudged: bool
    off: tuple[tuple[Error, float], ...] = ()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bags", nargs="+", type=Path, help="drives at 10 Hz")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], help="errors of rigs, default all errors")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        tasks = [pool.submit(outcomes, bag, options.seed, options.only) for bag in options.bags]
        results = [each for task in tqdm(tasks, unit="drive") for each in task.result()]
    print(f"{len(options.bags)} drives, seed {options.seed}")
    print(f"{'error':18s} {'found':>9s} {'not judged':>11s} {'false findings':>15s}")
    for error in dict.fromkeys(each.error for each in results):
        own = [each for each in results if each.error == error]
        found = f"{sum(each.found for each in own)} of {len(own)}" if error != "none" else ""
        print(
            f"{error:18s} {found:>9s} {sum(each.unjudged for each in own):11d} "
            f"{sum(len(each.false) for each in own):15d}"
        )
        for text in (text for each in own for text in each.false):
            print(f"    false: {text}")
    print("\nestimates (true error minus estimate; rigs with and without errors)")
    print(f"{'':8s} {'mean':>8s} {'median |.|':>11s} {'95 % of |.|':>12s} {'count':>6s}")
    for place, unit in UNITS.items():
        scale = {"deg": 180 / math.pi, "m": 1.0, "%": 100.0}[unit]
        values = scale * np.array([v for each in results for p, v in each.off if p is place])
        print(
            f"{place.name.lower():8s} {values.mean():+8.3f} {np.median(abs(values)):11.3f} "
            f"{np.percentile(abs(values), 95):12.3f} {len(values):6d} {unit}"
        )


def outcomes(bag: Path, seed: int, only: list[str]) -> list[Outcome]:
    """Looks at a drive with each error."""
    cv2.setNumThreads(1)
    random = np.random.default_rng([seed, zlib.crc32(bag.name.encode())])
    seen = observe_bag(bag)
    healthy = examine(seen, CHECKS)
    looked = sight(seen, Findings())
    assert looked.rig is not None
    estimates, _ = estimate_all(looked)
    none = np.zeros(len(Error))
    found = [_outcome("none", "", (), "", healthy.findings, _off(estimates, "", none))]
    for error, (place, size, word) in RIG_ERRORS.items():
        name = str(random.choice(looked.rig.names))
        true = none.copy()
        true[place] = size * random.choice((-1.0, 1.0))
        if only and error not in only:
            continue
        entry = mended(looked.rig[name], -true)
        rig = Rig({**looked.rig.cameras, name: entry})
        told = replace(looked, rig=rig, verdicts=assign(looked.pairs, _moments(looked), rig))
        changed, reasons = estimate_all(replace(told, rig=rig.subset([name])))
        every = {each: (changed if each == name else estimates).get(each) for each in rig}
        usable = {each: value for each, value in every.items() if value is not None}
        said = [
            *judge_orientation(told),
            *judge_geometry(told, rig, usable, reasons, seen.base_frame),
        ]
        found.append(_outcome(error, name, (name,), word, said, _off(changed, name, true)))
    if only:
        return found
    for error, flip in FLIPS.items():
        name = str(random.choice(looked.rig.names))
        pairs = {**looked.pairs, name: tuple(_flipped(looked.pairs[name], flip))}
        found.append(_judged(looked, error, (name,), flip.value, pairs))
    first, second = (str(each) for each in random.choice(looked.rig.names, 2, replace=False))
    for error, (one, other) in (("left and right swapped", ("left", "right")),
                                ("any two swapped", (first, second))):  # fmt: skip
        pairs = {**looked.pairs, one: looked.pairs[other], other: looked.pairs[one]}
        found.append(_judged(looked, error, (one, other), "fit the mounting", pairs))
    found += _contents(seen, str(random.choice(looked.rig.names)), random)
    return found


def _judged(
    looked: Sight,
    error: str,
    names: tuple[str, ...],
    word: str,
    pairs: Mapping[str, tuple[ImagePair, ...]],
) -> Outcome:
    assert looked.rig is not None
    told = replace(looked, pairs=pairs)
    told = replace(told, verdicts=assign(pairs, _moments(told), looked.rig))
    return _outcome(error, names[0], names, word, list(judge_orientation(told)), ())


def _outcome(
    error: str,
    name: str,
    names: tuple[str, ...],
    word: str,
    findings: list[Finding] | tuple[Finding, ...],
    off: tuple[tuple[Error, float], ...],
) -> Outcome:
    bad = [each for each in findings if each.severity in (Severity.WARNING, Severity.ERROR)]
    right = [each for each in bad if each.camera in names and word and word in each.seen]
    notes = " ".join(each.seen for each in findings if each.severity is Severity.NOTE)
    return Outcome(
        error,
        {each.camera for each in right} >= set(names) and bool(names),
        tuple(f"{each.camera or 'vehicle'}: {each.seen}" for each in bad if each not in right),
        bool(name) and name in notes and not right,
        off,
    )


def _off(
    estimates: Mapping[str, MountingEstimate], name: str, true: np.ndarray
) -> tuple[tuple[Error, float], ...]:
    return tuple(
        (place, float((true[place] if camera == name else 0.0) - estimate.error[place]))
        for camera, estimate in estimates.items()
        for place in UNITS
        if estimate.sigma[place] < 0.05
    )


def _moments(looked: Sight) -> list[dict[str, np.ndarray]]:
    count = min(len(pairs) for pairs in looked.pairs.values())
    return [{n: pairs[i].first for n, pairs in looked.pairs.items()} for i in range(count)]


def _flipped(pairs: tuple[ImagePair, ...], flip: Flip) -> Iterator[ImagePair]:
    for pair in pairs:
        images = [cv2.cvtColor(flip.undo(each), cv2.COLOR_GRAY2RGB)
                  for each in (pair.first, pair.second) if each is not None]  # fmt: skip
        turned = image_pair(*images)
        yield replace(
            pair,
            first=turned.first,
            second=turned.second,
            corners=turned.corners,
            segments=turned.segments,
        )


class _Painted:
    """A kept image that shows something else."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def image(self) -> np.ndarray:
        return self._pixels


def _contents(seen: Observation, name: str, random: np.random.Generator) -> Iterator[Outcome]:
    track = seen.cameras[name]
    first = decoded(track.samples[0])
    assert first is not None
    paints = {
        "black": np.zeros_like(first),
        "white": np.full_like(first, 255),
        "noisy": random.integers(0, 256, first.shape, dtype=np.uint8),
    }
    for problem, pixels in paints.items():
        said = check_content(_with(seen, name, track, pixels), Findings())
        yield _outcome(problem, name, (name,), problem, list(said), ())
    stale = replace(track, digests=np.repeat(track.digests[:1], len(track.digests)))
    said = check_frozen(_with(seen, name, stale, first), Findings())
    yield _outcome("frozen", name, (name,), "image before", list(said), ())


def _with(seen: Observation, name: str, track: CameraTrack, pixels: np.ndarray) -> Observation:
    samples = tuple(_Painted(pixels) for _ in track.samples)
    painted = replace(track, samples=samples)  # type: ignore[arg-type]
    return replace(seen, cameras={**seen.cameras, name: painted})


if __name__ == "__main__":
    main()
