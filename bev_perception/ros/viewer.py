# SPDX-License-Identifier: Apache-2.0
"""Shows the running system's topics in a viewer without getting in its way.

Subscriptions are best effort and keep serialized messages, of most topics the newest one. At
a bounded rate these are decoded and logged; what there is no time for is never decoded.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32
from visualization_msgs.msg import MarkerArray

from bev_perception.bags.headers import raw_stamp_ns
from bev_perception.bags.markers import boxes_from_markers
from bev_perception.bags.occupancy_grids import grid_from_message
from bev_perception.bags.point_clouds import fields_from_message, points_from_message
from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, ObjectBox, RigidTransform
from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.image_messages import image_from_message
from bev_perception.ros.inbox import Inbox
from bev_perception.ros.live_rig import LiveRig
from bev_perception.ros.publishers import LATENCY_STAGES
from bev_perception.ros.serialized import read_message
from bev_perception.ros.stamps import stamp_ns
from bev_perception.ros.transform_input import TransformInput
from bev_perception.ros.transform_time_lines import JUMP_NS
from bev_perception.ros.viewer_settings import ViewerSettings

if TYPE_CHECKING:
    from bev_perception.visualization.rerun_view import Kind, RerunView

_JPEG = b"\xff\xd8\xff"
_PATIENCE_S = 5.0
_SAME_CLOCK_NS = 30_000_000_000
_EGO_POINT = (0.0, 0.0, 0.5)
"""A point inside the vehicle itself, which is no object around it."""


class LiveViewer:
    """Subscribes with a node that somebody else spins, in the thread that calls show.

    Args:
        node: whose subscriptions these are.
        view: what is logged to.
        settings: what to show.
        warn: told once of everything that cannot be shown.

    Attributes:
        shown: messages that were shown, by topic.
    """

    def __init__(
        self,
        node: Node,
        view: RerunView,
        settings: ViewerSettings,
        warn: Callable[[str], object],
    ) -> None:
        self.shown: Counter[str] = Counter()
        self._node = node
        self._view = view
        self._settings = settings
        self._warn = warn
        self._warned: set[str] = set()
        self._inbox = Inbox(node)
        self._last_ns: dict[str, int] = {}
        self._without_images = list(settings.cameras)
        self._output_ns: int | None = None
        self._transforms = TransformInput(
            node,
            _nothing,
            self._note_transforms,
            _nothing,
            self._warn_once,
            base_frame=settings.base_frame,
        )
        tree, base = self._transforms.tree, settings.base_frame
        infos = {name: settings.info_topic_of(name) for name in settings.cameras}
        self._rig = LiveRig(infos, tree, base, settings.rectified_cameras)
        self._poses = EgoPoses(tree, base)
        self._subscribe_all()

    def run(
        self,
        spin_once: Callable[[float], None],
        flush: Callable[[], None],
        is_over: Callable[[], bool],
    ) -> None:
        """Shows what comes, at most at the settings' rate, until it is over.

        Args:
            spin_once: runs callbacks, at most for the seconds given.
            flush: waits until what was logged has left, so that nothing piles up.
            is_over: asked often.
        """
        period_s = 1.0 / self._settings.max_rate_hz
        patient_until = time.monotonic() + _PATIENCE_S
        while not is_over():
            due = time.monotonic() + period_s
            while not is_over() and (left_s := due - time.monotonic()) > 0:
                spin_once(min(left_s, 0.1))
            self.show()
            flush()
            if time.monotonic() > patient_until:
                self._tell_what_is_missing()
                patient_until = math.inf

    def show(self) -> None:
        """Logs what has come since the last time."""
        self._find_images()
        rig = self._rig.changed_rig()
        if rig is not None:
            self._view.rig(rig)
        for handler, topic, raw in self._inbox.take():
            try:
                handler(topic, raw)
                self.shown[topic] += 1
            except BevError as error:
                self._warn_once(str(error))

    def _subscribe_all(self) -> None:
        settings, node = self._settings, self._settings.node
        for stage in LATENCY_STAGES:
            topic = f"{node}/debug/latency_ms/{stage}"
            self._inbox.subscribe_all(Float32, topic, partial(self._show_latency, stage))
        self._inbox.subscribe_all(DiagnosticArray, "/diagnostics", self._show_diagnostics)
        for camera in settings.cameras:
            qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
            on_info = partial(self._receive_info, camera)
            self._node.create_subscription(CameraInfo, settings.info_topic_of(camera), on_info, qos)
        newest = self._inbox.subscribe_newest
        occupancy = f"{node}/occupancy_grid"
        newest(OccupancyGrid, occupancy, self._show_occupancy, on_arrival=self._note_output)
        newest(OccupancyGrid, f"{node}/probability_grid", self._show_probability)
        newest(MarkerArray, f"{node}/markers", partial(self._show_boxes, "predicted"))
        newest(MarkerArray, settings.truth_topic, partial(self._show_boxes, "truth"))
        newest(PointCloud2, f"{node}/centers", self._show_centers)
        self._find_images()

    def _find_images(self) -> None:
        """Subscribes to the images of cameras whose topics have become known."""
        settings = self._settings
        for camera in self._without_images[:]:
            raw, compressed = settings.raw_topic_of(camera), settings.compressed_topic_of(camera)
            if settings.transport == "raw" or self._is_published(raw):
                self._inbox.subscribe_newest(Image, raw, partial(self._show_image, camera, Image))
            elif settings.transport == "compressed" or self._is_published(compressed):
                handler = partial(self._show_image, camera, CompressedImage)
                self._inbox.subscribe_newest(CompressedImage, compressed, handler)
            else:
                continue
            self._without_images.remove(camera)

    def _is_published(self, topic: str) -> bool:
        return self._settings.transport == "auto" and self._node.count_publishers(topic) > 0

    def _receive_info(self, camera: str, message: CameraInfo) -> None:
        self._rig.add_info(camera, message)

    def _note_output(self, topic: str, raw: bytes) -> None:
        self._output_ns = raw_stamp_ns(raw)

    def _tell_what_is_missing(self) -> None:
        settings = self._settings
        outputs = f"{settings.node}/occupancy_grid"
        topics = [] if self.shown[outputs] else [outputs]
        for camera in settings.cameras:
            raw, compressed = settings.raw_topic_of(camera), settings.compressed_topic_of(camera)
            if not (self.shown[raw] or self.shown[compressed]):
                topics.append(compressed if settings.transport == "compressed" else raw)
        if topics:
            self._warn_once(
                f"nothing has come on {', '.join(topics)} so far; other names? "
                f"another ROS_DOMAIN_ID?"
            )

    def _show_image(self, camera: str, kind: type, topic: str, raw: bytes) -> None:
        message: Any = read_message(raw, kind, topic)
        stamp = self._stamp(topic, message)
        self._rig.add_image_frame(camera, message.header.frame_id)
        if kind is CompressedImage and self._view.shows_as_is(camera):
            data = bytes(message.data)
            if data.startswith(_JPEG):
                self._view.jpeg(camera, stamp, data)
                return
        self._view.image(CameraFrame(camera, stamp, image_from_message(message, topic)))

    def _show_occupancy(self, topic: str, raw: bytes) -> None:
        message = read_message(raw, OccupancyGrid, topic)
        stamp = self._stamp(topic, message)
        self._show_pose(stamp)
        self._view.occupancy(stamp, *grid_from_message(message, topic))

    def _show_probability(self, topic: str, raw: bytes) -> None:
        message = read_message(raw, OccupancyGrid, topic)
        stamp = self._stamp(topic, message)
        self._show_pose(stamp)
        self._view.probability(stamp, *grid_from_message(message, topic))

    def _show_boxes(self, kind: Kind, topic: str, raw: bytes) -> None:
        message = read_message(raw, MarkerArray, topic)
        if not message.markers:
            return
        stamp = stamp_ns(message.markers[0].header.stamp)
        boxes = [
            box.transformed(self._base_T_frame(frame, stamp))
            for frame, box in boxes_from_markers(message, topic)
        ]
        self._show_pose(stamp)
        self._view.boxes(stamp, [box for box in boxes if not _is_ego(box)], kind)

    def _show_centers(self, topic: str, raw: bytes) -> None:
        message = read_message(raw, PointCloud2, topic)
        stamp = self._stamp(topic, message)
        table = fields_from_message(message, topic)
        points = points_from_message(message, topic)
        base_T_frame = self._base_T_frame(message.header.frame_id, stamp)
        if len(table) and not {"score", "id"} <= set(table.dtype.names or ()):
            self._warn_once(f"{topic}: a point cloud without score and id; shown without them")
            ones = np.ones(len(points))
            self._view.centers(stamp, base_T_frame.apply(points), ones, ones.astype(int))
            return
        self._view.centers(stamp, base_T_frame.apply(points), table["score"], table["id"])

    def _show_latency(self, stage: str, topic: str, raw: bytes) -> None:
        """Latencies have no stamps: they belong to the output that came last."""
        if self._output_ns is not None:
            self._view.latency(self._output_ns, stage, read_message(raw, Float32, topic).data)

    def _show_diagnostics(self, topic: str, raw: bytes) -> None:
        message = read_message(raw, DiagnosticArray, topic)
        stamp = stamp_ns(message.header.stamp)
        newest_ns = max(self._last_ns.values(), default=stamp)
        if abs(stamp - newest_ns) > _SAME_CLOCK_NS:
            self._warn_once(
                f"{topic} has stamps of another clock than images and outputs; set use_sim_time "
                f"alike for all nodes. Reports are shown at the newest image"
            )
            stamp = newest_ns
        for status in message.status:
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            self._view.report(stamp, level, status.name, status.message)

    def _show_pose(self, stamp: int) -> None:
        found = self._poses.at(stamp)
        if found.world_T_base is not None:
            self._view.pose(stamp, found.world_T_base)

    def _base_T_frame(self, frame: str, stamp: int) -> RigidTransform:
        """As it is at a stamp, or was last before.

        Raises:
            TransformError: TF does not connect the frame.
        """
        base, frame = self._settings.base_frame, frame.lstrip("/")
        if frame == base:
            return RigidTransform.identity()
        latest_ns = self._transforms.tree.latest_ns(base, frame)
        at_ns = stamp if latest_ns is None else min(stamp, latest_ns)
        return self._transforms.tree.lookup(base, frame, at_ns)

    def _stamp(self, topic: str, message: Any) -> int:
        stamp = stamp_ns(message.header.stamp)
        if stamp < self._last_ns.get(topic, stamp) - JUMP_NS:
            self._warn_once(
                "stamps have jumped back (a simulator was reset or a bag began again); to follow "
                "the newest moment, choose the timeline log_time in the viewer"
            )
        self._last_ns[topic] = stamp
        return stamp

    def _note_transforms(self) -> None:
        self._rig.add_transforms()

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


def _is_ego(box: ObjectBox) -> bool:
    return box.is_vehicle and bool(box.contains(_EGO_POINT))


def _nothing() -> None:
    pass
