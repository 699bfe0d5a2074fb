# SPDX-License-Identifier: Apache-2.0
"""The doctor's look into images of a simulated drive and of the real keyframe."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bev_perception.cli.main import main
from bev_perception.doctor.bag_observation import observe_bag
from bev_perception.doctor.checks import CHECKS
from bev_perception.doctor.examination import examine
from bev_perception.doctor.finding import Finding, Severity
from bev_perception.doctor.geometry_residuals import Error, mended
from bev_perception.doctor.recording import Observation

KEYFRAME = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
ALARMS = (Severity.WARNING, Severity.ERROR)


def alarms(seen: Observation) -> list[Finding]:
    return [each for each in examine(seen, CHECKS).findings if each.severity in ALARMS]


@pytest.mark.slow
@pytest.mark.skipif(not KEYFRAME.exists(), reason="the real keyframe is not here")
def test_the_real_keyframe_raises_no_alarm_and_says_what_a_single_moment_cannot_show() -> None:
    examination = examine(observe_bag(KEYFRAME), CHECKS)
    assert not [each.seen for each in examination.findings if each.severity in ALARMS]
    assert examination.verdict("image-view") is Severity.OK  # its neighbours agree
    (note,) = [each for each in examination.findings if each.check == "geometry"]
    assert "not judged" in note.seen


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Observation:
    out = tmp_path_factory.mktemp("drives")
    # a town that nothing was tuned on
    main(
        ["simulate", "--town", "11002", "--sets", "30", "--rate-hz", "10", "--out", str(out / "a")]
    )
    return observe_bag(out / "a" / "town_11002")


@pytest.mark.slow
def test_a_healthy_drive_raises_no_alarm_and_tells_how_exact_it_is(drive: Observation) -> None:
    examination = examine(drive, CHECKS)
    assert not [each.seen for each in examination.findings if each.severity in ALARMS]
    fine = [each for each in examination.findings if each.check == "geometry"]
    assert sum("yaw" in each.seen for each in fine) == len(drive.cameras)


@pytest.mark.slow
def test_a_pitched_camera_is_named_with_its_angle_a_fix_and_a_picture(drive: Observation) -> None:
    error = np.zeros(len(Error))
    error[Error.PITCH] = math.radians(3.0)
    wrong = {**drive.rig_cameras, "left": mended(drive.rig_cameras["left"], -error)}
    (finding,) = alarms(replace(drive, rig_cameras=wrong))
    assert (finding.check, finding.camera) == ("geometry", "left")
    assert "degrees further down" in finding.seen
    assert 2.8 < float(finding.seen.split(" looks ")[1].split()[0]) < 3.2
    assert "pitch of its mounting" in finding.fix
    assert finding.picture is not None


@pytest.mark.slow
def test_swapped_cameras_are_both_named(drive: Observation) -> None:
    left, right = drive.cameras["left"], drive.cameras["right"]
    swapped = {
        **drive.cameras,
        "left": replace(left, samples=_as(right, left), digests=right.digests),
        "right": replace(right, samples=_as(left, right), digests=left.digests),
    }
    found = alarms(replace(drive, cameras=swapped))
    assert {(each.check, each.camera) for each in found} == {
        ("image-view", "left"),
        ("image-view", "right"),
    }


@pytest.mark.slow
def test_a_left_handed_rig_is_told_once_though_images_contradict_it_too(drive: Observation) -> None:
    left, right = drive.rig_cameras["left"], drive.rig_cameras["right"]
    exchanged = {
        **drive.rig_cameras,
        "left": replace(left, base_T_camera=right.base_T_camera),
        "right": replace(right, base_T_camera=left.base_T_camera),
    }
    found = alarms(replace(drive, rig_cameras=exchanged))
    assert {(each.check, each.camera) for each in found} == {
        ("directions", "left"),
        ("directions", "right"),
    }
    assert all("left-handed" in each.cause for each in found)


def _as(giver, taker):  # type: ignore[no-untyped-def]
    return tuple(replace(sample, topics=taker.topics) for sample in giver.samples)
