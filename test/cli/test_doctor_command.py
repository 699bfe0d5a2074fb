# SPDX-License-Identifier: Apache-2.0
"""bev doctor: exit codes, JSON, report; and that pictures show what the calibration claims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from injected_recordings import calibrated, edited, known, small_rig, write_healthy_bag

from bev_perception.doctor.checks import CHECKS
from bev_perception.doctor.checks_of_images import IMAGE_CHECKS
from bev_perception.faults import Injection, Kind, inject_into_bag

IMAGES = ",".join(check.name for check in IMAGE_CHECKS)
"""Left out: the images are noise."""

Bev = Callable[..., Any]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_healthy_bag(tmp_path_factory.mktemp("doctor") / "healthy", small_rig(), 20)


@pytest.fixture
def spoiled(healthy: Path, tmp_path: Path) -> Callable[[Injection], Path]:
    def spoil(injection: Injection) -> Path:
        inject_into_bag(healthy, tmp_path / "spoiled", [injection])
        return tmp_path / "spoiled"

    return spoil


def far_off(message: Any) -> None:
    message.k = message.k.copy()
    message.k[2] = 80.0


def test_healthy_bag_exits_with_0_and_lists_every_check(bev: Bev, healthy: Path) -> None:
    result = bev("doctor", healthy, "--ignore", IMAGES, "--strict")
    assert result.code == 0
    assert "0 errors, 0 warnings, 0 notes" in result.out
    for check in CHECKS:
        assert (f"\n{check.name} " in result.out) == (check not in IMAGE_CHECKS)


def test_errors_exit_with_1_and_leave_a_report(bev: Bev, spoiled: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bag = spoiled(calibrated(far_off))
    result = bev("doctor", bag, "--ignore", IMAGES, "--json", "--out", out)
    assert result.code == 1
    values = json.loads(result.out)
    assert not values["healthy"]
    assert values["checks"]["principal-point"] == "error"
    assert values["cameras"]["left"]["horizontal_fov_deg"] == pytest.approx(100.0, abs=0.1)
    (found,) = values["findings"]
    assert (found["check"], found["camera"]) == ("principal-point", "front")
    assert "(80.0, 31.5) in an image of 96x64" in found["seen"]
    picture = cv2.imread(str(out / found["picture"]))
    assert picture is not None
    assert picture.shape == (64, 96, 3)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert found["seen"] in page
    assert json.loads((out / "doctor.json").read_text(encoding="utf-8")) == values
    assert "ERROR  principal-point  front" in (out / "doctor.txt").read_text(encoding="utf-8")


def test_warnings_count_with_strict_alone(bev: Bev, spoiled: Any) -> None:
    bag = spoiled(
        edited(lambda m: setattr(m.header, "frame_id", "link"), Kind.IMAGE, cameras="left")
    )
    assert bev("doctor", bag, "--ignore", IMAGES).code == 0
    assert bev("doctor", bag, "--ignore", IMAGES, "--strict").code == 1
    assert bev("doctor", bag, "--ignore", f"{IMAGES},camera-info", "--strict").code == 0


def test_rig_unlike_that_of_the_weights_is_a_warning_where_they_are_named(
    bev: Bev, spoiled: Any
) -> None:
    def narrow(message: Any) -> None:
        message.k = np.array([120.0, 0, 47.5, 0, 120.0, 31.5, 0, 0, 1])

    bag = spoiled(calibrated(narrow, "front left rear right"))
    named = bev("doctor", bag, "--ignore", IMAGES, "--weights", "tiny")
    expected = "WARNING  weights\n  seen:     field of view 44 deg\n  expected: 95 to 106 deg"
    assert expected in named.out
    assert "NOTE  weights" in bev("doctor", bag, "--ignore", IMAGES).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: there is no such bag"),
        ([], "name one bag, or --live"),
        (["missing", "--ignore", "colour"], "--ignore: no check colour; there are cameras, "),
    ],
)
def test_unusable_input_exits_with_2(bev: Bev, arguments: list[str], message: str) -> None:
    result = bev("doctor", *arguments)
    assert result.code == 2
    assert message in result.error


def test_bag_without_cameras_is_an_error_and_not_a_crash(bev: Bev, spoiled: Any) -> None:
    result = bev("doctor", spoiled(known("dead")))
    assert result.code == 1
    assert "no image on /camera/front/image_raw/compressed" in result.out


def test_every_check_has_its_row_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == [*(check.name for check in CHECKS), "weights"]
