# SPDX-License-Identifier: Apache-2.0
"""Prepared bags keep what was recorded; batches fit together; the order can be resumed."""

from __future__ import annotations

import itertools
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bev_perception.datasets import ExtractionSettings, prepare_bags
from bev_perception.datasets.prepared_bag import PreparedBag
from bev_perception.datasets.prepared_bag_writer import PreparedBagWriter
from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.errors import ConfigurationError, DatasetError
from bev_perception.geometry import (
    BevGrid,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import SegnetConfig, build_tap_table
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.batch import collate
from bev_perception.training.configuration import DataConfig, TrainConfig
from bev_perception.training.data_module import SegnetData
from bev_perception.training.dataset import SegnetDataset, TapTableCache
from bev_perception.training.image_quality import ImageQualityConfig
from bev_perception.training.miscalibration import MiscalibrationConfig
from bev_perception.training.sampling import EndlessBatchSampler
from bev_perception.training.views import ViewConfig

SIZE = (32, 48)
GRID = BevGrid.centered(8.0, 0.5)
CONFIG = SegnetConfig("light", SIZE, (0.0, 1.0), GRID, 8, (8, 8, 8), (8, 8, 8))


def a_rig(*yaws_deg, distortion=()):
    camera = PinholeCamera.from_field_of_view(SIZE[1], SIZE[0], 100.0)
    if distortion:
        camera = PinholeCamera(SIZE[1], SIZE[0], camera.matrix, "equidistant", distortion)
    return Rig(
        {
            f"camera{number}": RigCamera(
                camera,
                RigidTransform.from_euler(yaw=np.radians(yaw), translation=(0.5, 0.1, 1.6))
                @ BODY_T_OPTICAL,
                f"frame{number}",
            )
            for number, yaw in enumerate(yaws_deg)
        }
    )


def a_bag(path, rig, num_sets=3, level=None, seed=0):
    random = np.random.default_rng(seed)
    level = level or RigidTransform.identity()
    recorded = []
    with PreparedBagWriter(path, rig, SIZE, {"bag": path.name}) as writer:
        for number in range(num_sets):
            images = random.integers(0, 256, (len(rig), *SIZE, 3), dtype=np.uint8)
            boxes = tuple(
                ObjectBox(
                    "van",
                    7 + index,
                    RigidTransform.from_euler(
                        yaw=random.uniform(-3, 3), translation=(*random.uniform(-6, 6, 2), 0.8)
                    ),
                    np.array([4.0, 1.8, 1.6]),
                    random.normal(size=3),
                    visibility=float("nan") if index else 0.7,
                )
                for index in range(number)
            )
            present = np.ones(len(rig), dtype=bool)
            present[0] = number != 1
            writer.add(1000 + number, images, present, level, boxes)
            recorded.append((images, present, boxes))
    return PreparedBag(path), recorded


def test_a_prepared_bag_gives_back_what_was_written(tmp_path):
    rig = a_rig(0, 120, distortion=(0.01, 0.02, -0.01, 0.001))
    level = RigidTransform.from_euler(roll=0.02, pitch=-0.05)
    bag, recorded = a_bag(tmp_path / "bag", rig, level=level)
    assert len(bag) == 3
    assert bag.stamp_ns(2) == 1002
    for index, (images, present, boxes) in enumerate(recorded):
        sample = bag.sample(index)
        assert (sample.images == images).all()
        assert (sample.present == present).all()
        for name in rig.names:
            expected = level @ rig[name].base_T_camera
            assert sample.rig[name].base_T_camera.is_close(expected)
            assert sample.rig[name].camera.distortion == rig[name].camera.distortion
            assert sample.rig[name].frame_id == rig[name].frame_id
        assert len(sample.objects) == len(boxes)
        for box, written in zip(sample.objects, boxes):
            assert box.pose.is_close(level @ written.pose)
            np.testing.assert_allclose(box.velocity, level.rotate(written.velocity))
            assert (box.label, box.object_id) == (written.label, written.object_id)
            np.testing.assert_equal(box.visibility, written.visibility)


def test_an_interrupted_preparation_leaves_nothing(tmp_path):
    def prepare():
        image = np.zeros((1, *SIZE, 3), dtype=np.uint8)
        with PreparedBagWriter(tmp_path / "bag", a_rig(0), SIZE, {}) as writer:
            writer.add(0, image, np.ones(1, dtype=bool), RigidTransform.identity(), ())
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        prepare()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_of_the_bag_stays_on_it(tmp_path, bags):
    """A limit on the size of files stands for the disk: the system refuses the same write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(DatasetError, match=r"cannot be filled with prepared images.*cache_dir"):
            prepare_bags(bags[:1], tmp_path / "cache", ExtractionSettings(SIZE), 1, False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_processes_may_prepare_the_same_bag_at_once(tmp_path):
    rig, image = a_rig(0), np.full((1, *SIZE, 3), 7, dtype=np.uint8)
    with PreparedBagWriter(tmp_path / "bag", rig, SIZE, {"bag": "bag"}) as writer:
        writer.add(5, image, np.ones(1, dtype=bool), RigidTransform.identity(), ())
        other, _ = a_bag(tmp_path / "other", rig)
        other.path.rename(tmp_path / "bag")  # another process finishes first
    assert len(PreparedBag(tmp_path / "bag")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


KILLED_WRITER = """
import os, signal, sys
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_dataset import SIZE, RigidTransform, PreparedBagWriter, a_rig
with PreparedBagWriter(Path(sys.argv[1]), a_rig(0), SIZE, {}) as writer:
    image = np.zeros((1, *SIZE, 3), dtype=np.uint8)
    for _ in range(9):
        writer.add(0, image, np.ones(1, dtype=bool), RigidTransform.identity(), ())
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_preparation_left_goes_and_what_others_write_stays(tmp_path, bags):
    cache, settings = tmp_path / "cache", ExtractionSettings(SIZE)
    (first,) = prepare_bags(bags[:1], cache, settings, 1, False)
    place, image = first.path, np.zeros((1, *SIZE, 3), dtype=np.uint8)
    for other in (place, cache / "another"):
        code = [sys.executable, "-c", KILLED_WRITER, str(other), str(Path(__file__).parent)]
        assert subprocess.run(code, timeout=60).returncode == -signal.SIGKILL
    shutil.rmtree(place)
    killed = set(cache.iterdir())
    assert [(path / "images.raw").stat().st_size > 0 for path in killed] == [True, True]
    with PreparedBagWriter(place, a_rig(0), SIZE, {"bag": "live"}) as live:
        for number in range(9):
            live.add(number, image, np.ones(1, dtype=bool), RigidTransform.identity(), ())
        (writes,) = set(cache.iterdir()) - killed
        assert len(prepare_bags(bags[:1], cache, settings, 1, False)) == 1
        left = {path.name.split(".")[1] for path in cache.glob(".*")}
        assert left == {place.name, "another"}, "of this bag only what is being written"
        assert writes.is_dir()
    assert [path for path in cache.iterdir() if not path.name.startswith(".another")] == [place]


def test_a_truncated_prepared_bag_is_refused_with_the_cure(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0))
    with (bag.path / "images.raw").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ConfigurationError, match="delete"):
        PreparedBag(bag.path)


def test_pickling_a_bag_does_not_copy_its_images(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0, 90), num_sets=8)
    bag.sample(0)
    data = pickle.dumps(bag)
    assert len(data) < bag.path.joinpath("images.raw").stat().st_size / 5
    assert (pickle.loads(data).sample(3).images == bag.sample(3).images).all()


def test_a_batch_mixes_rigs_of_different_size(tmp_path):
    small, _ = a_bag(tmp_path / "small", a_rig(0), seed=1)
    large, _ = a_bag(tmp_path / "large", a_rig(0, 120, 240), seed=2)
    dataset = SegnetDataset([small, large], CONFIG)
    batch = collate([dataset[2], dataset[4]])
    assert batch.images.shape == (2, 3, 3, *SIZE)
    assert batch.images.dtype == torch.uint8
    assert (batch.images[1, 2].permute(1, 2, 0).numpy() == large.sample(1).images[2]).all()
    expected = build_tap_table(a_rig(0), CONFIG)
    assert (batch.taps.seen[0] == expected.seen).all()
    targets = make_targets(small.sample(2).objects, CONFIG.grid)
    assert (batch.segmentation[0, 0].numpy() == targets.segmentation).all()
    assert (batch.offset[0].numpy() == targets.offset).all()


def test_equal_rigs_share_one_table_and_a_lost_camera_makes_another():
    tables = TapTableCache(CONFIG)
    everything = np.array([True, True])
    first = tables.table(a_rig(0, 90), everything)
    assert tables.table(a_rig(0, 90), everything) is first
    assert tables.table(a_rig(0, 91), everything) is not first
    assert tables.table(a_rig(0, 90), np.array([True, False])) is not first


def test_tables_are_kept_up_to_their_memory_the_oldest_goes_first():
    present = np.ones(1, dtype=bool)
    rigs = [a_rig(yaw) for yaw in (0, 10, 20)]
    size = max(build_tap_table(rig, CONFIG, backward=True).num_bytes for rig in rigs)
    tables = TapTableCache(CONFIG, max_bytes=int(2.5 * size))
    first, second, third = (tables.table(rig, present) for rig in rigs)
    assert tables.table(rigs[2], present) is third
    assert tables.table(rigs[1], present) is second
    assert tables.table(rigs[0], present) is not first
    none_fits = TapTableCache(CONFIG, max_bytes=1)
    assert none_fits.table(rigs[0], present) is none_fits.table(rigs[0], present)


def test_the_position_alone_decides_the_variation(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0, 90))
    one, two = (SegnetDataset([bag], CONFIG, None, AugmentationConfig(), 3) for _ in range(2))
    two[1, 5]
    assert (one[2, 9].images == two[2, 9].images).all()
    assert any((one[2, p].images != one[2, 9].images).any() for p in range(4))


def test_batches_do_not_depend_on_how_many_processes_load_them(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0, 90), num_sets=4)
    augmentation = AugmentationConfig(
        turn_steps=8,
        views=ViewConfig(turn_deg=2.0, zoom=0.1),
        quality=ImageQualityConfig(1.0, 1.0, 1.0, 0.1, 40),
        camera_dropout=0.3,
        miscalibration=MiscalibrationConfig(pitch_deg=2.0),
    )

    def batches(workers):
        data = SegnetData(
            SegnetDataset([bag], CONFIG, None, augmentation, 3),
            SegnetDataset([], CONFIG),
            TrainConfig(data=DataConfig(workers=workers), batch_size=2),
        )
        return list(itertools.islice(data.train_dataloader(), 4))

    for alone, loaded in zip(batches(0), batches(2), strict=True):
        assert torch.equal(alone.images, loaded.images)
        assert torch.equal(alone.taps.forward.weights, loaded.taps.forward.weights)
        assert torch.equal(alone.taps.forward.indices, loaded.taps.forward.indices)
        assert torch.equal(alone.offset, loaded.offset)


def test_cells_that_no_camera_sees_can_be_left_out_of_the_loss(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0))
    config = AugmentationConfig(mirror=False, ignore_unseen=True)
    one, other = (SegnetDataset([bag], CONFIG, None, choice)[2, 0] for choice in (config, None))
    seen = build_tap_table(a_rig(0), CONFIG).seen
    assert (one.targets.valid == (other.targets.valid & seen)).all()
    assert not one.targets.valid.all()


def test_batches_of_several_classes_have_a_channel_each(tmp_path):
    bag, _ = a_bag(tmp_path / "bag", a_rig(0))
    config = replace(CONFIG, classes=("vehicle", "pedestrian"))
    batch = collate([SegnetDataset([bag], config)[2]])
    assert batch.segmentation.shape == (1, 2, *GRID.shape)
    assert batch.occupied.shape == batch.valid.shape == (1, 1, *GRID.shape)
    assert (batch.occupied[:, 0] == batch.segmentation.amax(1)).all()
    with pytest.raises(ConfigurationError, match=r"targets\.classes"):
        SegnetDataset([bag], config, TargetSettings())


def test_every_pass_is_another_permutation_of_all_samples():
    sampler = EndlessBatchSampler(6, 4, seed=1)
    items = list(itertools.chain.from_iterable(itertools.islice(sampler, 6)))
    assert [position for _, position in items] == list(range(24))
    indices = [index for index, _ in items]
    passes = [indices[start : start + 6] for start in range(0, 24, 6)]
    assert all(sorted(one) == list(range(6)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_the_order_resumes_at_any_batch():
    whole = list(itertools.islice(EndlessBatchSampler(7, 3, seed=2), 9))
    rest = list(itertools.islice(EndlessBatchSampler(7, 3, seed=2, start_batch=4), 5))
    assert rest == whole[4:]


def test_processes_share_the_samples_between_them():
    whole = list(itertools.islice(EndlessBatchSampler(8, 2, seed=2), 4))
    parts = [
        list(itertools.islice(EndlessBatchSampler(8, 2, seed=2, rank=rank, num_replicas=2), 2))
        for rank in range(2)
    ]
    assert [parts[0][0], parts[1][0], parts[0][1], parts[1][1]] == whole
