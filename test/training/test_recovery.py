# SPDX-License-Identifier: Apache-2.0
"""Whatever stops a training, it goes on from its last checkpoint as if nothing had happened."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_boxes import a_config, tensors, way_apart
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from bev_perception.datasets import ExtractionSettings, prepare_bags
from bev_perception.errors import ConfigurationError, TrainingError
from bev_perception.training import train as training
from bev_perception.training.checkpoint_file import LAST_NAME, PREVIOUS_NAME
from bev_perception.training.module import SegnetModule
from bev_perception.training.train import train

KILLED_WHILE_WRITING_STEP_4 = """
import os, signal, sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from drawn_boxes import a_config
from bev_perception.training import checkpoint_file
from bev_perception.training.train import train

save = checkpoint_file._save

def killed_half_way(checkpoint, file):
    if checkpoint["global_step"] < 4:
        return save(checkpoint, file)
    file.write(b"half of a checkpoint")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

checkpoint_file._save = killed_half_way
out, one, two, cache = map(Path, sys.argv[2:6])
train(a_config(out, (one, two), cache, checkpoint_every=2, log_every=1), show_progress=False)
"""


def loss_curve(out):
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("train/total")}


def at_batch(monkeypatch, number, action):
    """Does something in the middle of training."""
    step = SegnetModule.training_step

    def training_step(self, batch, batch_idx):
        if batch_idx == number:
            action(batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegnetModule, "training_step", training_step)


def test_a_run_killed_while_it_writes_a_checkpoint_resumes_to_the_same_curve(tmp_path, bags, cache):
    whole = a_config(tmp_path / "whole", bags, cache, log_every=1, checkpoint_every=2)
    expected = train(whole, show_progress=False)
    parts = replace(whole, out=tmp_path / "parts")
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED_WHILE_WRITING_STEP_4, here, parts.out, *bags, cache]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    assert list(parts.out.glob(".*partial"))
    assert torch.load(parts.out / LAST_NAME, weights_only=True)["global_step"] == 2
    resumed = train(replace(parts, resume=True), show_progress=False)
    assert loss_curve(parts.out) == loss_curve(whole.out)
    assert sorted(loss_curve(parts.out)) == list(range(6))
    for name, value in tensors(resumed.weights).items():
        assert torch.equal(value, tensors(expected.weights)[name]), name
    assert resumed.metrics == expected.metrics
    assert not list(parts.out.glob(".*partial"))


@pytest.mark.parametrize("damage", ["truncated", "one bit"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(
    tmp_path, bags, cache, caplog, damage
):
    config = a_config(tmp_path, bags, cache, checkpoint_every=2)
    whole = train(config, show_progress=False)
    expected = tensors(whole.weights)
    last = tmp_path / LAST_NAME
    with zipfile.ZipFile(last) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(last.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[largest.header_offset + largest.file_size // 2] ^= 16
    last.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        resumed = train(replace(config, resume=True), show_progress=False)
    assert f"{last} is damaged" in caplog.text
    assert f"going on from {tmp_path / PREVIOUS_NAME}" in caplog.text
    assert resumed.steps == 6
    for name, value in tensors(resumed.weights).items():
        assert torch.equal(value, expected[name]), name
    (tmp_path / PREVIOUS_NAME).write_bytes(b"")
    last.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"last\.ckpt is damaged.*previous\.ckpt is dam"):
        train(replace(config, resume=True), show_progress=False)


def test_a_full_disk_stops_with_the_step_and_keeps_the_last_checkpoint(
    tmp_path, bags, cache, monkeypatch
):
    """A limit on the size of files stands for the disk: the system refuses the same write."""
    config = a_config(tmp_path, bags, cache, checkpoint_every=2)
    monkeypatch.setattr(SegnetModule, "_picture", lambda *args: None)  # the logs stay small
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = (50_000, limits[1])
    at_batch(monkeypatch, 2, lambda batch: resource.setrlimit(resource.RLIMIT_FSIZE, full))
    try:
        with pytest.raises(TrainingError, match=r"step 4: .*cannot be written.*of step 2 is kept"):
            train(config, show_progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob(".*partial"))
    monkeypatch.undo()
    assert not (tmp_path / "weights.safetensors").exists()
    assert train(replace(config, resume=True), show_progress=False).steps == 6


def test_a_disk_that_is_full_at_the_export_is_told_with_the_checkpoint_also_on_resuming(
    tmp_path, bags, cache, monkeypatch
):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    config = a_config(tmp_path, bags, cache, checkpoint_every=2)
    monkeypatch.setattr(training, "save_weights", full)
    for run in (config, replace(config, resume=True)):
        with pytest.raises(TrainingError, match=r"^step 6: .*cannot be written.*of step 6 is kept"):
            train(run, show_progress=False)
    monkeypatch.undo()
    assert train(replace(config, resume=True), show_progress=False).weights.is_file()


def test_logs_that_find_no_room_are_told_without_a_traceback(tmp_path, bags, cache, monkeypatch):
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(TrainingError, match=r"cannot be written: No space left"):
        train(a_config(tmp_path, bags, cache, log_every=1), show_progress=False)
    assert reported == []


def test_a_gradient_that_is_not_finite_stops_before_it_spoils_the_weights(
    tmp_path, bags, cache, monkeypatch
):
    config = a_config(tmp_path, bags, cache, checkpoint_every=2)
    at_batch(monkeypatch, 3, lambda batch: batch.offset.fill_(float("nan")))
    with pytest.raises(TrainingError, match=r"step 4: .*offset nan.*checkpoint of step 2 is kept"):
        train(config, show_progress=False)
    monkeypatch.undo()
    state = torch.load(tmp_path / LAST_NAME, weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())
    assert train(replace(config, resume=True), show_progress=False).steps == 6


def test_a_killed_loader_is_told(tmp_path, bags, cache, monkeypatch):
    """Memory that runs out ends a worker process this way."""

    def kill_loaders(batch):
        for loader in multiprocessing.active_children():
            loader.kill()

    at_batch(monkeypatch, 1, kill_loaders)
    config = a_config(tmp_path, bags, cache, checkpoint_every=1)
    config = replace(config, data=replace(config.data, workers=1))
    with pytest.raises(TrainingError, match=r"loads batches was killed.*of step \d is kept"):
        train(config, show_progress=False)
    monkeypatch.undo()
    config = replace(config, data=replace(config.data, workers=0))
    assert train(replace(config, resume=True), show_progress=False).steps == 6


@pytest.mark.slow
def test_an_error_in_a_loader_keeps_its_own_words(tmp_path, bags, cache):
    """Labels that are no numbers are met by the process that loads them."""
    config = a_config(tmp_path, bags, tmp_path / "prepared")
    config = replace(config, data=replace(config.data, workers=1))
    prepared = prepare_bags(
        bags, tmp_path / "prepared", ExtractionSettings(config.model.image_size)
    )
    for bag in prepared:
        with np.load(bag.path / "labels.npz") as labels:
            spoiled = {**labels, "box_sizes": labels["box_sizes"] * np.nan}
        np.savez(bag.path / "labels.npz", **spoiled)
    with pytest.raises(TrainingError, match=r"^object \d.* nan.*; no checkpoint was due yet$"):
        train(config, show_progress=False)


def test_accumulated_batches_change_weights_as_one_large_batch(tmp_path, bags, cache, monkeypatch):
    """Batch norms see what one process sees at a time, so they keep still here."""

    def still(norm, x):
        return torch.nn.functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias
        )

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", still)
    trained = {}
    for batch_size, accumulate in ((4, 1), (1, 4)):
        out = tmp_path / str(accumulate)
        config = a_config(
            out, bags, cache, batch_size=batch_size, accumulate=accumulate, max_steps=3
        )
        trained[accumulate] = train(config, show_progress=False).weights
    assert way_apart(trained[4], trained[1], seed=0) < 1e-3


def test_two_trainings_in_one_folder_are_refused_and_the_first_goes_on(
    tmp_path, bags, cache, monkeypatch
):
    config = a_config(tmp_path, bags, cache, checkpoint_every=1)
    second = [sys.executable, "-c", SECOND, str(Path(__file__).parent), tmp_path, *bags, cache]
    said = []

    def start_second(batch):
        done = subprocess.run(second, capture_output=True, text=True, timeout=120)
        said.append(done.stderr)
        with pytest.raises(ConfigurationError, match="another process trains in"):
            train(replace(config, resume=True), show_progress=False)

    at_batch(monkeypatch, 3, start_second)
    assert train(config, show_progress=False).steps == 6
    assert f"another process trains in {tmp_path}; wait for it" in said[0]
    train(replace(config, resume=True), show_progress=False)


SECOND = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from drawn_boxes import a_config
from bev_perception.training.train import train

out, one, two, cache = map(Path, sys.argv[2:6])
config = a_config(out, (one, two), cache, checkpoint_every=1)
train(replace(config, resume=True), show_progress=False)
"""
