# SPDX-License-Identifier: Apache-2.0
"""One image that cannot be used costs a run that image and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from bev_perception.bags import BagReader
from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BagError


def cut_off(message: Any) -> None:
    message.data = message.data[:-100]


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[[Path, str, range], Path]:
    """A copy of a bag with some messages of a topic, by position, changed; default cut off."""

    def copy(
        bag: Path, topic: str, positions: range, change: Callable[[Any], object] = cut_off
    ) -> Path:
        path, store, count = tmp_path / "spoilt", bag_typestore(), 0
        with (
            Reader(bag) as reader,
            Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
        ):
            topics = {
                each.id: writer.add_connection(each.topic, each.msgtype, typestore=store)
                for each in reader.connections
            }
            for connection, stamp_ns, raw in reader.messages():
                if connection.topic == topic:
                    if count in positions:
                        message = store.deserialize_cdr(raw, connection.msgtype)
                        change(message)
                        raw = store.serialize_cdr(message, connection.msgtype)
                    count += 1
                writer.write(topics[connection.id], stamp_ns, raw)
        return path

    return copy


def test_a_run_goes_on_without_a_damaged_image_and_counts_it(
    bev: Callable, make_bag: Callable, spoilt: Callable, weights: Path, tmp_path: Path
) -> None:
    bag = spoilt(make_bag(), "/camera/left/image_raw", range(1, 2))
    result = bev("run", bag, "--weights", weights, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "2 complete and 1 partial sets of 5 frames; dropped: undecodable 1" in result.out
    written = json.loads((tmp_path / "out" / "run.json").read_text())
    assert written["unusable_images"] == {"front": {}, "left": {"no image in this set": 1}}


def test_a_camera_of_which_no_image_can_be_read_stops_the_run(
    bev: Callable, make_bag: Callable, spoilt: Callable, weights: Path, tmp_path: Path
) -> None:
    bag = spoilt(make_bag(), "/camera/left/image_raw", range(3))
    result = bev("run", bag, "--weights", weights, "--out", tmp_path / "out")
    assert result.code == 2
    assert "/camera/left/image_raw" in result.error
    assert not (tmp_path / "out").exists()


def test_without_anybody_to_tell_a_damaged_image_is_an_error(
    make_bag: Callable, spoilt: Callable
) -> None:
    bag = spoilt(make_bag(), "/camera/left/image_raw", range(1, 2))
    told: list[str] = []
    with BagReader(bag) as reader:
        frames = list(reader.camera_frames(on_damaged=lambda name, error: told.append(name)))
        assert len(frames) == 5
        assert told == ["left"]
        with pytest.raises(BagError, match="/camera/left/image_raw"):
            list(reader.camera_frames())


def test_a_run_leaves_images_of_another_calibration_out_and_tells(
    bev: Callable, make_bag: Callable, spoilt: Callable, weights: Path, tmp_path: Path
) -> None:
    def zoom(message: Any) -> None:
        message.k = message.k * np.array([2.0, *[1.0] * 8])

    bag = spoilt(make_bag(), "/camera/left/camera_info", range(2, 3), zoom)
    result = bev("run", bag, "--weights", weights, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "2 complete and 1 partial sets of 5 frames" in result.out
    assert "camera left: its CameraInfo changes while it is recorded" in result.out
