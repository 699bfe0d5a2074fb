# SPDX-License-Identifier: Apache-2.0
"""``bev carla record`` against a double of the server: bags, resuming, restarts, training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("carla")
pytest.importorskip("moderngl")

from carla_double import CarlaDouble, installed

from bev_perception.bags import BagReader
from bev_perception.cli import carla_drives
from bev_perception.geometry import BevGrid
from bev_perception.model import SegnetConfig

PORT = 2345
SMALL = SegnetConfig(
    "light", (32, 48), (0.0, 1.0), BevGrid.centered(12.0, 0.75), 8, (8, 8, 8), (8, 8, 8), False
)
MAPS = ("/Game/Carla/Maps/Town01", "/Game/Carla/Maps/Town03")


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[CarlaDouble]:
    """A server with two towns; nobody sleeps while waiting for it."""
    monkeypatch.setattr(carla_drives, "POLL_S", 0.0)
    with installed(
        CarlaDouble(maps=("/Game/Carla/Maps/Town01", "/Game/Carla/Maps/Town03")), PORT
    ) as it:
        yield it


@pytest.fixture(scope="module")
def idle() -> Iterator[CarlaDouble]:
    """A server for commands that are refused before they ask for much."""
    with installed(CarlaDouble(maps=MAPS), PORT + 2) as double:
        yield double


@pytest.fixture
def record(bev: Callable, rig_file: Path) -> Callable:
    """Two drives of three sets each, unless told otherwise."""

    def run(out: Path, *more: object, hours: float = 0.1 / 60) -> object:
        return bev(
            "carla", "record", "--towns", "Town01,Town03", "--weathers", "ClearNoon,ClearNight",
            "--traffic", "3/1,0/0", "--hours", hours, "--drive-minutes", 0.05, "--rate-hz", 1,
            "--validation-share", 0.5, "--test-share", 0, "--rig", rig_file, "--jpeg-quality", 0,
            "--port", PORT, "--out", out, *more,
        )  # fmt: skip

    return run


def bags_in(out: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(out)) for path in out.rglob("metadata.yaml"))


def test_two_drives_resumed_and_trained_on(record: Callable, bev: Callable, tmp_path: Path) -> None:
    out = tmp_path / "carla"
    with installed(CarlaDouble(draw=True, maps=MAPS), PORT) as double:
        recorded_and_resumed(out, record, double)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"model": SMALL.to_dict(), "max_steps": 1, "batch_size": 1}))
    trained = bev(
        "train", out / "train", "--data.validation", f"[{out / 'validation'}]", "--config", recipe,
        "--accelerator", "cpu", "--precision", "fp32", "--data.extraction_processes", 1,
        "--out", tmp_path / "trained",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "1 steps" in trained.out
    assert (tmp_path / "trained" / "weights.safetensors").is_file()


def recorded_and_resumed(out: Path, record: Callable, double: CarlaDouble) -> None:
    done = record(out)
    assert done.code == 0, done.err
    assert "2 of 2 drives" in done.out
    assert "6 sets" in done.out
    assert bags_in(out) == ["train/drive_00000", "validation/drive_00001"]
    assert not double.actors, "nothing is left on the server"
    assert not double.settings.synchronous_mode
    plan = json.loads((out / "schedule.json").read_text())
    assert {each["town"] for each in plan} == {"Town01", "Town03"}
    assert {each["weather"] for each in plan} == {"ClearNoon", "ClearNight"}
    with BagReader(out / "train" / "drive_00000") as reader:
        stamps = sorted({frame.stamp_ns for frame in reader.camera_frames()})
        assert len(stamps) == 3
        assert stamps[1] - stamps[0] == 1_000_000_000
        assert reader.rig().names == ("front", "left")
        assert all(reader.objects(stamp) is not None for stamp in stamps)
        assert reader.world_T_base(stamps[0]) is not None

    before = (out / "train" / "drive_00000" / "drive_00000.mcap").stat().st_mtime_ns
    again = record(out, hours=0.2 / 60)
    assert again.code == 0, again.err
    assert "2 of 4 drives are there already" in again.out
    assert len(bags_in(out)) == 4
    assert (out / "train" / "drive_00000" / "drive_00000.mcap").stat().st_mtime_ns == before


def test_other_settings_do_not_go_into_the_same_folder(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    assert record(tmp_path / "out").code == 0
    refused = record(tmp_path / "out", "--seed", 5)
    assert refused.code == 2
    assert "holds a recording of other settings (seed 0 there, 5 now)" in refused.error


def test_a_lost_ego_vehicle_costs_one_attempt(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    double.faults.ego_gone_at = 60
    done = record(tmp_path / "out")
    assert done.code == 0, done.err
    assert "attempt 1 of 3: the ego vehicle" in done.err
    assert "1 took more than one attempt" in done.out
    assert len(bags_in(tmp_path / "out")) == 2
    assert not double.actors


def test_a_server_that_restarts_is_waited_for(
    record: Callable, double: CarlaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies during the first drive, and is back after it was asked for three times in vain."""
    double.faults.dead_from = 60
    double.faults.hang_s = 0.0
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            double.faults.dead_from = None
            double.load()

    monkeypatch.setattr(carla_drives.record_drives, "__defaults__", (nap,))
    done = record(tmp_path / "out")
    assert done.code == 0, done.err
    assert "waiting up to 10.0 min for the server" in done.err
    assert len(naps) == 3
    assert len(bags_in(tmp_path / "out")) == 2


def test_a_server_that_stays_away_ends_it_and_keeps_what_is_done(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    double.faults.dead_from = 150
    double.faults.hang_s = 0.0
    done = record(tmp_path / "out", "--reconnect-minutes", 0)
    assert done.code == 2
    assert "waited 0.0 min. What is recorded stays" in done.error
    assert bags_in(tmp_path / "out") == ["train/drive_00000"]
    assert not [path for path in tmp_path.rglob("*partial*")]


def test_a_silent_camera_costs_one_attempt(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    double.faults.silent = (0, 60)
    done = record(tmp_path / "out", "--timeout-s", 0.3)
    assert done.code == 0, done.err
    assert "attempt 1 of 3" in done.err
    assert len(bags_in(tmp_path / "out")) == 2


def test_drives_that_fail_again_and_again_are_told_and_tried_by_the_next_run(
    record: Callable, double: CarlaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carla_drives, "ATTEMPTS", 2)

    def remove_ego(tick: int) -> None:
        if tick % 50 == 0 and double.ego is not None:
            double.destroy(double.ego.id)

    double.on_tick = remove_ego
    failed = record(tmp_path / "out")
    assert failed.code == 2
    assert "2 of 2 drives could not be recorded (train/drive_00000: the ego" in failed.error
    double.on_tick = lambda tick: None
    done = record(tmp_path / "out")
    assert done.code == 0, done.err
    assert len(bags_in(tmp_path / "out")) == 2


def test_a_vehicle_that_stands_ends_its_drive_early(
    record: Callable, double: CarlaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CarlaDouble, "is_driving", property(lambda self: False))
    done = record(
        tmp_path / "out", "--drive-minutes", 0.2, "--keep-standing-s", 1, "--stuck-s", 4,
    )  # fmt: skip
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "out" / "drives.json").read_text())
    assert all(result["stuck"] for result in results.values())
    assert all(result["sets"] == 2 for result in results.values())
    assert all(result["standing"] == 3 for result in results.values())
    assert "ended early because the vehicle was stuck" in done.out


def test_ctrl_c_leaves_the_finished_drives_and_no_actors(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    double.faults.interrupt_at = 150
    done = record(tmp_path / "out")
    assert done.code == 130
    assert bags_in(tmp_path / "out") == ["train/drive_00000"]
    assert not double.actors
    assert not double.settings.synchronous_mode


def test_what_a_killed_recording_left_is_removed(
    record: Callable, double: CarlaDouble, tmp_path: Path
) -> None:
    """kill -9 ends nothing properly: the bag at work stays beside where it would have been."""
    double.faults.interrupt_at = 150
    assert record(tmp_path / "out").code == 130
    unfinished = tmp_path / "out" / "validation" / ".drive_00001.xy12"
    unfinished.mkdir(parents=True)
    (unfinished / "drive_00001.mcap").write_bytes(b"half a bag")
    double.faults.interrupt_at = None
    done = record(tmp_path / "out")
    assert done.code == 0, done.err
    assert "1 of 2 drives are there already" in done.out
    assert bags_in(tmp_path / "out") == ["train/drive_00000", "validation/drive_00001"]
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--towns", "Town01,Town99"], "no town Town99; it has Town01, Town03"),
        (["--weathers", "Sunny"], "unknown weather 'Sunny'; CARLA has"),
        (["--traffic", "much"], "expected light, medium, dense"),
        (["--validation-share", "1"], "leave something to train on"),
        (["--drive-minutes", "0"], "--drive-minutes must be positive"),
        (["--towns", "Town01,Town01"], "a name stands twice"),
        (["--rate-hz", "3"], "no whole number of ticks"),
        (["--port", "2346"], "no CARLA server answers at localhost:2346"),
    ],
)
def test_what_would_stop_it_after_hours_is_refused_at_once(
    options: list[str], message: str, record: Callable, idle: CarlaDouble, tmp_path: Path
) -> None:
    done = record(tmp_path / "out", "--timeout-s", 1, "--port", PORT + 2, *options)
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "out").exists()
