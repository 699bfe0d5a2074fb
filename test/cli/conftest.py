# SPDX-License-Identifier: Apache-2.0
"""A rig, weights and bags so small that a whole command takes a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from tiny_network import save_tiny_network

from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.images import image_to_message
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.point_clouds import points_to_message
from bev_perception.bags.poses import transforms_to_message
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    IMAGE,
    MARKER_ARRAY,
    POINT_CLOUD,
    TF,
    bag_typestore,
)
from bev_perception.cli.main import main
from bev_perception.geometry import ObjectBox, PinholeCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL

SECOND = 1_000_000_000
CAMERA = PinholeCamera.from_field_of_view(96, 64, 100.0)
LENS = "width: 96, height: 64, horizontal_fov_deg: 100"
RIG = f"""
cameras:
  front: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}
  left: {{{LENS}, position: [1.2, 0.8, 1.6], rpy_deg: [0, 5, 90]}}
"""


@dataclass
class Result:
    """What a command left: exit code and texts."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed command may write besides its progress."""
        lines = [line for line in self.err.splitlines() if line.startswith("bev")]
        assert len(lines) == 1, self.err
        return lines[0]


@dataclass
class BagRecipe:
    """What a hand-made bag holds; each default is right, a test spoils one thing.

    Attributes:
        cameras: their names.
        offset_s: how much later a camera records than the front one.
        stamps: of the front camera's images, by number of the set, that are not those of the set.
        encoding: of the images.
        infos: cameras that have CameraInfo.
        focal: k[0] of the CameraInfo.
        mounted: cameras that have a transform.
        labels: whether there is a labelled car.
        label_frame: that its box is in.
        base_frame: of the vehicle.
        world_frame: that the ego pose is in.
        map_from: first set at which a map frame lies above that one.
        clouds_before: so many of the sets, the first ones, have LiDAR points.
    """

    cameras: Sequence[str] = ("front", "left")
    offset_s: dict[str, float] = field(default_factory=dict)
    stamps: dict[int, int] = field(default_factory=dict)
    encoding: str = "rgb8"
    infos: Sequence[str] = ("front", "left")
    focal: float | None = None
    mounted: Sequence[str] = ("front", "left")
    labels: bool = True
    label_frame: str = "base_link"
    base_frame: str = "base_link"
    world_frame: str = "map"
    map_from: int = 3
    clouds_before: int = 0


@pytest.fixture
def bev(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs the command line in this process."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras of 96x64."""
    path = tmp_path_factory.mktemp("rig") / "tiny_rig.yaml"
    path.write_text(RIG)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small network."""
    return save_tiny_network(tmp_path_factory.mktemp("weights") / "untrained.safetensors")


@pytest.fixture
def make_bag(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bag of three sets from a BagRecipe's arguments."""

    def write(**choices: Any) -> Path:
        recipe, path, store = BagRecipe(**choices), tmp_path / "bag", bag_typestore()
        with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections: dict[str, Any] = {}
            for topic, kind, stamp, message in sorted(_messages(recipe), key=lambda m: m[2]):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], stamp, store.serialize_cdr(message, kind))
        return path

    return write


def _messages(recipe: BagRecipe) -> Iterator[tuple[str, str, int, Any]]:
    random = np.random.default_rng(1)
    mounts = [
        (recipe.base_frame, f"{name}_optical_frame",
         RigidTransform.from_euler(yaw=1.57 * index, translation=(1.0, 0.0, 1.6)) @ BODY_T_OPTICAL)
        for index, name in enumerate(recipe.mounted)
    ]  # fmt: skip
    other = (recipe.base_frame, "imu_link", RigidTransform.identity())
    yield "/tf_static", TF, SECOND, transforms_to_message(SECOND, [other, *mounts])
    car = ObjectBox(
        "car", 1, RigidTransform.from_euler(translation=(9.0, 1.0, 0.8)), np.array([4.5, 1.9, 1.6])
    )
    for index in range(3):
        stamp = SECOND + index * SECOND // 10
        place = RigidTransform.from_euler(translation=(0.5 * index, 0, 0))
        pose = [(recipe.world_frame, recipe.base_frame, place)]
        if index >= recipe.map_from:
            pose.append(("map", recipe.world_frame, RigidTransform.from_euler(yaw=1.0)))
        yield "/tf", TF, stamp, transforms_to_message(stamp, pose)
        if recipe.labels:
            markers = boxes_to_markers(stamp, recipe.label_frame, [car])
            yield "/ground_truth/objects", MARKER_ARRAY, stamp, markers
        if index < recipe.clouds_before:
            cloud = points_to_message(stamp, recipe.base_frame, random.uniform(-5, 5, (50, 3)))
            yield "/lidar/points", POINT_CLOUD, stamp, cloud
        for name in recipe.cameras:
            late = stamp + round(recipe.offset_s.get(name, 0.0) * SECOND)
            frame, topic = f"{name}_optical_frame", f"/camera/{name}/image_raw"
            pixels = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
            told = recipe.stamps.get(index, late) if name == "front" else late
            image = image_to_message(pixels, told, frame, topic)
            image.encoding = recipe.encoding
            yield topic, IMAGE, late, image
            if name in recipe.infos:
                info = camera_to_message(CAMERA, late, frame)
                if recipe.focal is not None:
                    info.k[0] = recipe.focal
                yield f"/camera/{name}/camera_info", CAMERA_INFO, late, info
