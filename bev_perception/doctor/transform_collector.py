# SPDX-License-Identifier: Apache-2.0
"""All transforms as they come, contradictory and impossible ones included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bev_perception.bags.headers import stamp_ns
from bev_perception.bags.raw_topic import is_tf_static
from bev_perception.doctor.recording import TransformTrack
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree

MAX_SAMPLES = 100_000
"""Samples of one edge that are kept; the first ones."""

_Key = tuple[str, bool, str, str]


@dataclass
class _Edge:
    stamps_ns: list[int] = field(default_factory=list)
    log_ns: list[int] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


class TransformCollector:
    """Edges by topic, parent and child."""

    def __init__(self) -> None:
        self._edges: dict[_Key, _Edge] = {}
        self._odometry: dict[_Key, _Edge] = {}

    def add_transforms(self, topic: str, log_ns: int, message: Any) -> None:
        """A TFMessage."""
        is_static = is_tf_static(topic)
        for entry in message.transforms:
            parent, child = entry.header.frame_id.lstrip("/"), entry.child_frame_id.lstrip("/")
            t, r = entry.transform.translation, entry.transform.rotation
            edge = self._edges.setdefault((topic, is_static, parent, child), _Edge())
            _append(edge, stamp_ns(entry.header), log_ns, t, r)

    def add_odometry(self, topic: str, log_ns: int, message: Any) -> None:
        """An Odometry message; its pose stands in for a transform that no TF gives."""
        parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        pose = message.pose.pose
        edge = self._odometry.setdefault((topic, False, parent, child), _Edge())
        _append(edge, stamp_ns(message.header), log_ns, pose.position, pose.orientation)

    def tracks(self) -> tuple[TransformTrack, ...]:
        """Every edge of TF and of odometry."""
        return tuple(
            TransformTrack(
                *key,
                np.array(edge.stamps_ns, np.int64),
                np.array(edge.log_ns, np.int64),
                np.array(edge.values, np.float64).reshape(-1, 7),
            )
            for key, edge in (*self._edges.items(), *self._odometry.items())
        )


def transform_tree(tracks: Sequence[TransformTrack]) -> tuple[TransformTree, list[str]]:
    """The transforms that can be used, and why others cannot, one sentence each.

    Static ones are entered last, so that they win; odometry tells only what no TF does, as
    BagReader reads bags.
    """
    tree, problems = TransformTree(), []
    tf = [track for track in tracks if not track.is_odometry]
    children = {track.child for track in tf}
    odometry = [track for track in tracks if track.is_odometry and track.child not in children]
    for track in [*sorted(tf, key=lambda entry: entry.is_static), *odometry]:
        try:
            _enter(tree, track)
        except TransformError as error:
            problems.append(f"{track.topic}: {track.parent!r} -> {track.child!r}: {error}")
    return tree, problems


def _append(edge: _Edge, stamp: int, log_ns: int, t: Any, r: Any) -> None:
    if len(edge.stamps_ns) < MAX_SAMPLES:
        edge.stamps_ns.append(stamp)
        edge.log_ns.append(log_ns)
        edge.values.append((t.x, t.y, t.z, r.x, r.y, r.z, r.w))


def _enter(tree: TransformTree, track: TransformTrack) -> None:
    """Adds the valid samples of an edge; of a static one the last.

    Raises:
        TransformError: the first of its samples that makes no transform, after the others
            were added, or an edge that no tree can have.
    """
    first_error: TransformError | None = None
    for stamp, values in zip(track.stamps_ns.tolist(), track.values):
        try:
            transform = RigidTransform.from_quaternion(values[3:], values[:3])
        except TransformError as error:
            first_error = first_error or error
            continue
        if track.is_static:
            tree.add_static(track.parent, track.child, transform)
        else:
            tree.add(track.parent, track.child, stamp, transform)
    if first_error is not None:
        raise first_error
