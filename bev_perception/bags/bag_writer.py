# SPDX-License-Identifier: Apache-2.0
"""Writes what simulation and perception make into a ROS 2 bag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.bag_sink import BagSink
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.images import image_to_message
from bev_perception.bags.imu_messages import imu_to_message
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.occupancy_grids import (
    grid_to_message,
    occupancy_values,
    probability_values,
)
from bev_perception.bags.point_clouds import (
    centers_to_message,
    points_to_message,
    scan_to_message,
    table_to_message,
)
from bev_perception.bags.poses import odometry_to_message, transforms_to_message, twist_since
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    IMU,
    MARKER_ARRAY,
    OCCUPANCY_GRID,
    ODOMETRY,
    POINT_CLOUD,
    TF,
)
from bev_perception.errors import BagError
from bev_perception.geometry import (
    BevOutput,
    FrameSet,
    LidarScan,
    ObjectBox,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.imu import ImuSample

WORLD_FRAME = "map"
BASE_FRAME = "base_link"
LIDAR_TOPIC = "/lidar/points"
IMU_TOPIC = "/imu/data"


class BagWriter:
    """A new ROS 2 bag. Use it as a context manager.

    The bag is written beside its final path and moved there when all is written; after an
    error or Ctrl-C nothing is left behind.

    Args:
        path: folder that the bag will be; must not exist.
        storage: ``mcap`` or ``sqlite3``.
        compressed: zstd, by chunk for mcap and by message for sqlite3.
        base_frame: name of the vehicle's frame.

    Raises:
        BagError: the path exists, cannot be written to, or the storage is unknown.
    """

    def __init__(
        self,
        path: str | Path,
        storage: str = "mcap",
        compressed: bool = False,
        base_frame: str = BASE_FRAME,
    ) -> None:
        self._sink = BagSink(Path(path), storage, compressed)
        self._base_frame = base_frame
        self._has_rig = False
        self._last_pose: tuple[int, RigidTransform] | None = None

    @property
    def path(self) -> Path:
        """Where the bag will be when complete."""
        return self._sink.path

    def __enter__(self) -> BagWriter:
        self._sink.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._sink.commit()
        else:
            self._sink.discard()

    def write_rig(
        self,
        rig: Rig,
        stamp_ns: int,
        others: Mapping[str, RigidTransform] | None = None,
    ) -> None:
        """The cameras' mounting on /tf_static.

        Args:
            rig: the cameras.
            stamp_ns: of the message.
            others: base_T_sensor of other sensors by the name of their frame.
        """
        base_frame = self._base_frame
        self._has_rig = True
        transforms = [
            (base_frame, optical_frame(name, entry), entry.base_T_camera)
            for name, entry in rig.cameras.items()
        ]
        transforms += [(base_frame, frame, mount) for frame, mount in (others or {}).items()]
        message = transforms_to_message(stamp_ns, transforms)
        self._sink.write("/tf_static", TF, stamp_ns, message, latched=True)

    def write_frame_set(
        self, frame_set: FrameSet, rig: Rig, jpeg_quality: int | None = None
    ) -> None:
        """Images with their CameraInfo, and the ego pose where it is known.

        The rig is written first where write_rig was not called.

        Args:
            frame_set: cameras of the rig; each image has its own stamp.
            rig: calibration of the images as they are.
            jpeg_quality: 1 to 100 for JPEG images; None for raw rgb8.

        Raises:
            BagError: a camera that is not in the rig, or an image of another size than its
                calibration.
        """
        if not self._has_rig:
            self.write_rig(rig, frame_set.stamp_ns)
        if frame_set.world_T_base is not None:
            self.write_pose(frame_set.stamp_ns, frame_set.world_T_base)
        for name, frame in frame_set.frames.items():
            if name not in rig.cameras:
                raise BagError(
                    f"{self.path}: camera {name!r} is not in the rig ({', '.join(rig.names)})"
                )
            self._write_image(name, frame.stamp_ns, frame.image, rig[name], jpeg_quality)

    def write_imu(self, samples: Iterable[ImuSample], topic: str = IMU_TOPIC) -> None:
        """Samples of an IMU in a frame that write_rig was told."""
        for sample in samples:
            self._sink.write(topic, IMU, sample.stamp_ns, imu_to_message(sample))

    def write_pose(
        self, stamp_ns: int, world_T_base: RigidTransform, world_frame: str = WORLD_FRAME
    ) -> None:
        """Ego pose on /tf and /odom; the velocity is that since the pose before."""
        linear, angular = twist_since(self._last_pose, stamp_ns, world_T_base)
        base = self._base_frame
        transform = transforms_to_message(stamp_ns, [(world_frame, base, world_T_base)])
        self._sink.write("/tf", TF, stamp_ns, transform)
        odometry = odometry_to_message(stamp_ns, world_frame, base, world_T_base, linear, angular)
        self._sink.write("/odom", ODOMETRY, stamp_ns, odometry)
        self._last_pose = stamp_ns, world_T_base

    def write_objects(
        self,
        stamp_ns: int,
        boxes_base: Iterable[ObjectBox],
        topic: str = "/ground_truth/objects",
    ) -> None:
        """Objects in the base frame as MarkerArray cubes; see markers for their fields."""
        message = boxes_to_markers(stamp_ns, self._base_frame, boxes_base)
        self._sink.write(topic, MARKER_ARRAY, stamp_ns, message)

    def write_points(
        self,
        stamp_ns: int,
        points: NDArray[np.floating],
        frame_id: str | None = None,
        topic: str = LIDAR_TOPIC,
        values: Sequence[str] = (),
    ) -> None:
        """Points (N, 3) in metres of frame_id, by default the base frame, as PointCloud2.

        Columns behind are fields of the names in values.
        """
        message = points_to_message(stamp_ns, frame_id or self._base_frame, points, values)
        self._sink.write(topic, POINT_CLOUD, stamp_ns, message)

    def write_labelled_points(self, stamp_ns: int, table: NDArray[np.void]) -> None:
        """Rows of perception.point_labels.labelled_points, in the base frame, below /bev."""
        self._write_table("/bev/labelled_points", stamp_ns, table)

    def write_instances(self, stamp_ns: int, table: NDArray[np.void]) -> None:
        """Rows of perception.instance_cells.instance_cells, in the base frame, below /bev."""
        self._write_table("/bev/instances", stamp_ns, table)

    def write_scan(self, stamp_ns: int, scan: LidarScan, topic: str = LIDAR_TOPIC) -> None:
        """A LiDAR's turn in its own frame, which write_rig has told; see SCAN_FIELDS."""
        self._sink.write(topic, POINT_CLOUD, stamp_ns, scan_to_message(stamp_ns, scan))

    def write_output(self, output: BevOutput, occupancy_threshold: float = 0.5) -> None:
        """Perception's output: occupancy, probability, centres and boxes below /bev.

        Args:
            output: in levelled base_link. Centres and boxes are points in space and written in
                the base frame, tilt undone; grids are flat messages and stay levelled.
            occupancy_threshold: probability from which a cell is occupied (100), else
                free (0); cells that no camera sees are -1.
        """
        stamp, frame = output.stamp_ns, self._base_frame
        for topic, values in (
            ("/bev/occupancy_grid", occupancy_values(output, occupancy_threshold)),
            ("/bev/probability_grid", probability_values(output)),
        ):
            message = grid_to_message(stamp, frame, output.grid, values)
            self._sink.write(topic, OCCUPANCY_GRID, stamp, message)
        centers = centers_to_message(stamp, frame, output.base_objects)
        self._sink.write("/bev/centers", POINT_CLOUD, stamp, centers)
        self.write_objects(stamp, output.base_objects, topic="/bev/markers")

    def _write_table(self, topic: str, stamp_ns: int, table: NDArray[np.void]) -> None:
        message = table_to_message(stamp_ns, self._base_frame, table)
        self._sink.write(topic, POINT_CLOUD, stamp_ns, message)

    def _write_image(
        self,
        name: str,
        stamp_ns: int,
        image: NDArray[np.uint8],
        entry: RigCamera,
        jpeg_quality: int | None,
    ) -> None:
        base, frame = f"/camera/{name}", optical_frame(name, entry)
        size = entry.camera.height, entry.camera.width
        if image.shape[:2] != size:
            raise BagError(
                f"{self.path}: image of camera {name!r} is {image.shape[1]}x{image.shape[0]}, "
                f"its calibration is for {size[1]}x{size[0]}"
            )
        info = camera_to_message(entry.camera, stamp_ns, frame)
        self._sink.write(f"{base}/camera_info", CAMERA_INFO, stamp_ns, info)
        message: Any
        if jpeg_quality is None:
            topic, kind = f"{base}/image_raw", IMAGE
            message = image_to_message(image, stamp_ns, frame, topic)
        else:
            topic, kind = f"{base}/image_raw/compressed", COMPRESSED_IMAGE
            message = image_to_compressed(image, stamp_ns, frame, jpeg_quality, topic)
        self._sink.write(topic, kind, stamp_ns, message)


def optical_frame(name: str, entry: RigCamera) -> str:
    """TF name of a camera's optical frame."""
    return entry.frame_id or f"{name}_optical_frame"
