# SPDX-License-Identifier: Apache-2.0
"""Extraction goes on where it stopped and leaves nothing that is not what it seems."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import types
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from drive_bags import CAMERA, write_drive
from killed_work import work

from bev_perception.datasets import ShardReader, find_bags, shard_writer
from bev_perception.datasets.data_set_folder import data_set_folder
from bev_perception.datasets.drive_splits import assign_splits, parse_shares
from bev_perception.datasets.extraction import DataSetPlan, drive_names, extract_bags
from bev_perception.datasets.shard_format import StoredPicture, StoredSet
from bev_perception.datasets.shard_reader import ShardDrive
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.errors import (
    ConfigurationError,
    DatasetError,
    ProcessError,
    ResourceError,
    SystemLibraryError,
)
from bev_perception.geometry import Rig, RigCamera, RigidTransform
from bev_perception.parallel import run_jobs

TIMEOUT_S = 60.0
ALL = ShardSettings(min_distance_m=0.0)


@pytest.fixture
def bags(tmp_path: Path) -> list[Path]:
    return [write_drive(tmp_path / name, 3) for name in ("one", "two")]


def state(out: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in out.glob("drives/*/*")}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_S:g} s"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether it is there and has not ended, reaped or not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_what_is_done_stays_and_what_changed_is_made_again(tmp_path, bags):
    plan = DataSetPlan(tmp_path / "out", ALL, processes=1)
    done: list[str] = []
    first = extract_bags(bags, plan, on_drive=done.append)
    before = state(plan.out)
    (plan.out / "drives/.two.123.partial").mkdir()  # as a killed worker leaves it
    assert extract_bags(bags, plan, on_drive=done.append) == first
    assert done == ["one", "two"] * 2
    assert state(plan.out) == before
    assert not (plan.out / "drives/.two.123.partial").exists()
    shutil.rmtree(bags[1])
    write_drive(bags[1], 4)
    (plan.out / "drives/one/000000.tar").write_bytes(b"cut off")
    second = extract_bags(bags, plan)
    assert [drive["sets"] for drive in second["drives"]] == [3, 4]
    assert [len(list(drive.sets())) for drive in ShardReader(plan.out).drives] == [3, 4]


def test_a_full_disk_leaves_only_complete_drives_and_is_gone_on_from(tmp_path, bags, monkeypatch):
    plan = DataSetPlan(tmp_path / "out", ALL, processes=1)
    write, written = shard_writer._Shard._write, 0

    def full(shard, data):
        nonlocal written
        written += len(data)
        if written > 60_000:  # in the second drive
            raise OSError(errno.ENOSPC, "No space left on device")
        write(shard, data)

    monkeypatch.setattr(shard_writer._Shard, "_write", full)
    with pytest.raises(DatasetError, match="No space left on device; the drives that are done"):
        extract_bags(bags, plan)
    monkeypatch.undo()
    assert [entry.name for entry in (plan.out / "drives").iterdir()] == ["one"]
    with pytest.raises(DatasetError, match="no finished data set"):
        find_bags([plan.out])
    before = state(plan.out)
    extract_bags(bags, plan)
    assert before.items() <= state(plan.out).items()
    assert len(find_bags([plan.out])) == 2


def test_too_little_room_is_told_before_anything_is_written(tmp_path, bags, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"will take about \d+\.\d MB, but 0\.0 MB are free"):
        extract_bags(bags, DataSetPlan(tmp_path / "out", ALL, processes=1))
    assert not list((tmp_path / "out/drives").iterdir())


def test_a_bag_that_cannot_be_unpacked_for_want_of_room_is_not_refused(tmp_path, monkeypatch):
    bag = write_drive(tmp_path / "bag", 3, compression="file")
    plan = DataSetPlan(tmp_path / "out", ALL, processes=1)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ResourceError, match=r"the disk of temporary files is full.*TMPDIR"):
        extract_bags([bag], plan)
    monkeypatch.undo()
    assert extract_bags([bag], plan)["drives"][0]["sets"] == 3


def test_a_killed_worker_is_told(tmp_path):
    with pytest.raises(ProcessError, match=r"a worker process was killed.*go on"):
        run_jobs(work, [tmp_path / "killed", tmp_path / "other"], 2, lambda job: None)


def test_workers_end_with_a_command_that_is_killed(tmp_path):
    """They would write beside the same command, started again."""
    code = (
        "import sys; from pathlib import Path; from killed_work import linger; "
        "from bev_perception.parallel import run_jobs; "
        "run_jobs(linger, [Path(path) for path in sys.argv[1:]], 2, print)"
    )
    notes = [tmp_path / "one", tmp_path / "two"]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, notes)], env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        wait_for(lambda: all(note.exists() for note in notes))
    finally:
        command.kill()
        command.wait()
    workers = [int(note.read_text()) for note in notes]
    wait_for(lambda: not any(map(is_running, workers)))


def test_a_worker_that_was_left_over_does_not_spoil_what_is_written_again(tmp_path, monkeypatch):
    rig = Rig({"front": RigCamera(CAMERA, RigidTransform.identity(), "front")})

    def write(writer: shard_writer.ShardWriter, *numbers: int) -> None:
        for number in numbers:
            picture = StoredPicture(number, bytes([number]) * 40_000, "jpg")
            writer.add(StoredSet(number, {"front": picture}, None, "[]", rig))

    place = tmp_path / "drives/one"
    settings = place, "one", "one", rig, 50_000
    monkeypatch.setattr(os, "getpid", lambda: 123)
    with suppress(DatasetError), shard_writer.ShardWriter(*settings) as left_over:
        write(left_over, 1, 2)
        monkeypatch.undo()
        with data_set_folder(tmp_path, ["one"]), shard_writer.ShardWriter(*settings) as again:
            write(again, 1)
            with pytest.raises(DatasetError):
                write(left_over, 3, 4)
            write(again, 2, 3, 4)
    found = ShardDrive(place)
    assert len(found) == 4
    assert [entry.name for entry in place.parent.iterdir()] == ["one"]
    with tarfile.open(place / "000001.tar") as archive:
        pictures = [name for name in archive.getnames() if name.endswith(".jpg")]
        assert [archive.extractfile(name).read(1) for name in pictures] == [b"\3", b"\4"]


def test_one_writer_at_a_time_and_no_strangers(tmp_path, bags):
    plan = DataSetPlan(tmp_path / "out", ALL, processes=1)

    def second(name: str) -> None:
        with pytest.raises(DatasetError, match="another process writes"):
            extract_bags(bags, plan)

    extract_bags(bags, plan, on_drive=second)
    with pytest.raises(DatasetError, match="holds drives of other bags"):
        extract_bags(bags[:1], plan)
    (plan.out / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"holds other things \(notes.txt\)"):
        extract_bags(bags, plan)


def test_names_of_drives_are_distinct_and_fit_for_keys(tmp_path):
    bags = [tmp_path / "a.1/drive", tmp_path / "b/drive"]
    assert list(drive_names(bags)) == ["a_1_drive", "b_drive"]
    with pytest.raises(DatasetError, match="given twice"):
        drive_names([bags[0], bags[0]])


def test_splits_are_drawn_by_drive():
    names = [f"town_{number:05d}" for number in range(20)]
    shares = parse_shares("train=0.8,validation=0.1,test=0.1")
    splits = assign_splits(names, shares, seed=0)
    assert set(splits) == set(names)
    assert Counter(splits.values()) == {"train": 16, "validation": 2, "test": 2}
    assert assign_splits(names[::-1], shares, 0) == splits
    assert assign_splits(names, shares, 1) != splits
    assert Counter(assign_splits(names[:3], shares, 0).values()) == dict.fromkeys(shares, 1)
    for text in ("train=0.9", "train=2", "train=0.5,train=0.5", "training=1", "train"):
        with pytest.raises(ConfigurationError, match="split"):
            parse_shares(text)


def test_ray_is_used_only_where_it_is_installed(tmp_path, bags, monkeypatch):
    plan = DataSetPlan(tmp_path / "out", ALL, use_ray=True)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemLibraryError, match="Ray is asked for but not installed"):
        extract_bags(bags, plan)
    assert not plan.out.exists()
    monkeypatch.setitem(sys.modules, "ray", _ray_here())
    assert [drive["sets"] for drive in extract_bags(bags, plan)["drives"]] == [3, 3]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_ray_cluster_that_does_not_answer_is_told_at_once(tmp_path, bags, monkeypatch, scheme):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else may
        address = f"{scheme}127.0.0.1:{unused.getsockname()[1]}"
        ray = _ray_here()
        ray.is_initialized = lambda: False
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ProcessError, match=f"no Ray cluster answers: {address}: .*refused"):
            extract_bags(bags, DataSetPlan(tmp_path / "out", ALL, use_ray=True))


@pytest.mark.slow
def test_a_real_ray_makes_the_same_shards_and_tells_of_lost_workers(tmp_path, bags, monkeypatch):
    pytest.importorskip("ray", reason="Ray is installed where it is wanted")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    here = extract_bags(bags, DataSetPlan(tmp_path / "here", ALL))
    assert extract_bags(bags, DataSetPlan(tmp_path / "ray", ALL, use_ray=True)) == here
    for shard in (tmp_path / "here").glob("drives/*/*.tar"):
        same = tmp_path / "ray" / shard.relative_to(tmp_path / "here")
        assert same.read_bytes() == shard.read_bytes()
    with pytest.raises(ProcessError, match="a Ray worker was lost"):
        run_jobs(work, [tmp_path / "killed"], 1, lambda job: None, use_ray=True)


def _ray_here() -> types.ModuleType:
    """Ray's functions that are used, done at once in this process."""
    ray = types.ModuleType("ray")

    class RayTaskError(Exception):
        pass

    ray.exceptions = types.SimpleNamespace(RayTaskError=RayTaskError, RayError=RayTaskError)
    ray.is_initialized = lambda: True
    results: dict[object, object] = {}

    def remote(function):
        def submit(job):
            reference = object()
            results[reference] = function(job)
            return reference

        return types.SimpleNamespace(remote=submit)

    ray.remote, ray.get, ray.cancel = remote, results.get, lambda reference: None
    ray.wait = lambda references, num_returns: (references[:1], references[1:])
    return ray
