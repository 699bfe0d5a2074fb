# SPDX-License-Identifier: Apache-2.0
"""Two processes with two samples each are one process with four."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml
from drawn_boxes import a_config, way_apart
from torch import nn

from bev_perception.errors import ConfigurationError
from bev_perception.model import load_weights
from bev_perception.training.splits import prepared_splits
from bev_perception.training.train import train

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")


def test_two_processes_of_torchrun_train_as_one_with_twice_the_batch(tmp_path, bags, cache):
    """Samplers disjoint, batch norms joined, metrics of all sets, one writer."""
    one = a_config(tmp_path / "one", (*bags, bags[1]), cache, batch_size=4, max_steps=3)
    alone = train(one, show_progress=False)
    two = replace(one, out=tmp_path / "two", batch_size=2)
    recipe = tmp_path / "two.yaml"
    recipe.write_text(yaml.safe_dump(two.to_dict()), encoding="utf-8")
    command = [*TORCHRUN, "-m", "bev_perception.cli.main", "train", "--config", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights.safetensors") == 1
    together = two.out / "weights.safetensors"
    assert way_apart(together, alone.weights, seed=0) < 1e-3
    metrics = load_weights(together)[1]["metrics"]
    assert metrics == pytest.approx(alone.metrics, abs=2e-3)
    names = {path.name for path in two.out.iterdir()}
    assert names == {".lock", "config.yaml", "last.ckpt", "tensorboard", together.name}
    writers = {path.name.split(".")[-2] for path in (two.out / "tensorboard").glob("events.*")}
    assert len(writers) == 1


def test_too_few_validation_sets_for_all_processes_are_told_before_other_bags_are_prepared(
    tmp_path, bags
):
    cache = tmp_path / "cache"
    config = a_config(tmp_path / "out", bags, cache)  # two sets to watch
    for processes in (1, 2):
        assert len(prepared_splits(config, False, processes).train[0]) == 3
    shutil.rmtree(cache)
    with pytest.raises(ConfigurationError, match=r"^3 processes .* data\.validation hold 2;"):
        prepared_splits(config, False, 3)
    assert [path.name.split("-")[0] for path in cache.iterdir()] == [bags[1].name]
    shutil.rmtree(cache)
    few = replace(config, data=replace(config.data, max_validation_sets=1))
    with pytest.raises(
        ConfigurationError, match=r"^2 processes .* data\.max_validation_sets allows 1;"
    ):
        prepared_splits(few, False, 2)
    assert not cache.exists()
    unwatched = replace(config, data=replace(config.data, validation=()))
    assert prepared_splits(unwatched, False, 9).validation == []


def test_joined_batch_norms_are_batch_norms_where_there_is_one_process(tmp_path):
    from bev_perception.training.synchronized_norm import synchronize_batch_norms

    torch.manual_seed(3)
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        plain, x = nn.BatchNorm2d(5), 3.0 + torch.randn(4, 5, 6, 7)
        nn.init.normal_(plain.weight)
        joined = nn.Sequential(nn.BatchNorm2d(5))
        joined[0].load_state_dict(plain.state_dict())
        synchronize_batch_norms(joined, on_gpu=False)
        results = []
        for norm in (plain, joined[0]):
            leaf = x.clone().requires_grad_()
            norm(leaf).square().sum().backward()
            norm(leaf)
            results.append(
                (leaf.grad, norm.weight.grad, norm.bias.grad, *norm.state_dict().values())
            )
        for expected, found in zip(*results):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        joined.eval()
        plain.eval()
        torch.testing.assert_close(joined(x), plain(x))
    finally:
        torch.distributed.destroy_process_group()
