# SPDX-License-Identifier: Apache-2.0
"""Checks that images are those of their cameras' mountings, and the right way up."""

from __future__ import annotations

from collections.abc import Iterator

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.geometry_assignment import Outcome, Verdict
from bev_perception.doctor.geometry_direction import Flip
from bev_perception.doctor.geometry_pictures import explained_picture
from bev_perception.doctor.recording import Observation
from bev_perception.doctor.sight import Sight, sight

_FLIP_FIX = {
    Flip.UPSIDE_DOWN: "turn the images by 180 degrees in the driver; or, if the camera is mounted "
    "upside down on purpose, write roll 180 into its mounting",
    Flip.MIRRORED: "switch off the driver's horizontal mirror (flip_x, hflip)",
    Flip.MIRRORED_UPSIDE_DOWN: "switch off the driver's vertical mirror (flip_y, vflip)",
}


def check_orientation(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Upside-down, mirrored and exchanged images; images that contradict their calibration."""
    yield from judge_orientation(sight(seen, so_far))


def judge_orientation(looked: Sight) -> Iterator[Finding]:
    """What the verdicts on all cameras mean."""
    for name, verdict in looked.verdicts.items():
        if verdict.outcome is Outcome.FLIPPED:
            yield _flipped(looked, name, verdict)
        elif verdict.outcome is Outcome.OTHER_CAMERA:
            yield _exchanged(looked, name, verdict)
        elif verdict.outcome is Outcome.CONTRADICTS:
            yield _contradicting(looked, name, verdict)
    yield from _unjudged(looked)


def _flipped(looked: Sight, name: str, verdict: Verdict) -> Finding:
    return Finding(
        "image-view",
        Severity.ERROR,
        f"the images are {verdict.flip.value}: {_evidence(verdict)}",
        camera=name,
        expected="images as the scene is: up is up, left is left",
        cause="a camera that is mounted the other way up, or a mirror or flip setting of its "
        "driver",
        fix=_FLIP_FIX[verdict.flip],
        picture=explained_picture(looked, name, verdict),
        picture_text="Left as the images come, right with them turned back; the grid is that of "
        "the calibration and must lie flat on the road.",
    )


def _exchanged(looked: Sight, name: str, verdict: Verdict) -> Finding:
    return Finding(
        "image-view",
        Severity.ERROR,
        f"the images fit the mounting of {verdict.mounting!r}: {_evidence(verdict)}",
        camera=name,
        expected=f"images of {name!r}",
        cause="swapped cables, serial numbers, topics or frames; or mountings of a left-handed "
        "system (y to the right), which exchange left and right",
        fix=f"give the topic of {name!r} to {verdict.mounting!r}, or exchange their frames or "
        f"mountings",
        picture=explained_picture(looked, name, verdict),
        picture_text=f"Left with the mounting of {name}, right with that of {verdict.mounting}; "
        f"arrows show what moved, green as it must, red as it cannot.",
    )


def _contradicting(looked: Sight, name: str, verdict: Verdict) -> Finding:
    return Finding(
        "image-view",
        Severity.ERROR,
        f"the images contradict the mounting: {_evidence(verdict)}, and neither a flip nor another "
        f"camera's mounting explains them",
        camera=name,
        expected="what stands still moves away from where the vehicle is heading, and neighbours "
        "show the same things",
        cause="a mounting that is more than 10 degrees off, images with stamps of another time, or "
        "an ego pose of another drive or with other axes",
        fix="check the mounting's angles, then the stamps, then the ego pose",
        picture=explained_picture(looked, name, verdict),
        picture_text="The grid of the calibration must lie flat on the road; arrows show what "
        "moved, green as it must, red as it cannot.",
    )


def _evidence(verdict: Verdict) -> str:
    """What speaks for the verdict, with numbers."""
    texts = []
    motion, explained = verdict.motion, verdict.explained
    if motion.corners:
        text = f"of {motion.corners} tracked corners {100 * motion.share:.0f} % move as they must"
        if explained.corners:
            text += f", {100 * explained.share:.0f} % under this explanation"
        texts.append(text)
    if verdict.matches or verdict.explained_matches:
        text = f"{verdict.matches} features agree with its neighbours"
        if verdict.explained_matches:
            text += f", {verdict.explained_matches} under this explanation"
        texts.append(text)
    return "; ".join(texts) or "nothing agrees"


def _unjudged(looked: Sight) -> Iterator[Finding]:
    names = [n for n, v in looked.verdicts.items() if v.outcome is Outcome.UNJUDGED]
    if names:
        if not looked.poses_known or all(not looked.verdicts[n].motion.corners for n in names):
            reason = "the vehicle's motion is not known or too small between consecutive images"
        else:
            reason = "too little that stands still moved through the images"
        yield Finding(
            "image-view",
            Severity.NOTE,
            f"whether images of {', '.join(names)} are turned or exchanged was not judged, because "
            f"{reason}, and too few features are shared with neighbours",
            expected="a drive of some metres with images in quick succession and ego poses",
        )
    mirrors = [
        name
        for name, verdict in looked.verdicts.items()
        if verdict.outcome is Outcome.FITS and not verdict.mirror_excluded
    ]
    if mirrors:
        yield Finding(
            "image-view",
            Severity.NOTE,
            f"whether images of {', '.join(mirrors)} are mirrored left to right was not judged, "
            f"because on a straight way a mirror image moves alike, and too few features are "
            f"shared with neighbours",
            expected="a drive with a curve, or neighbours that see the same things",
        )
    if looked.left_out:
        yield Finding(
            "image-view",
            Severity.NOTE,
            "images were not compared with the calibration: "
            + "; ".join(f"{name}, because {why}" for name, why in looked.left_out.items()),
            expected="images, calibration and mounting of every camera",
        )
