# SPDX-License-Identifier: Apache-2.0
"""A tree of frames over time, the offline and live counterpart of tf2's buffer."""

from __future__ import annotations

import difflib
import math
import struct
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from bev_perception.errors import TransformError
from bev_perception.geometry.transform import QUATERNION_NORM_TOLERANCE, RigidTransform

NANOSECONDS = 1_000_000_000
_SEVEN = struct.Struct("7d")
SHOWN = 40
"""How many frames an error names."""


class UnknownFrameError(TransformError):
    """A frame was never mentioned."""


class DisconnectedFramesError(TransformError):
    """Two known frames have no common ancestor."""


class OutOfRangeError(TransformError):
    """A moving edge has no samples around the time asked for."""


@dataclass
class _Edge:
    """parent_T_child: one constant, or samples sorted by stamp."""

    parent: str
    is_static: bool
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    transforms: list[RigidTransform | bytes] = field(default_factory=list)

    def at(self, index: int) -> RigidTransform:
        """One sample, made of its numbers when it is first asked for."""
        sample = self.transforms[index]
        if isinstance(sample, bytes):
            sample = self.transforms[index] = _transform(_SEVEN.unpack(sample))
        return sample


class TransformTree:
    """Static and moving transforms between named frames.

    Frame names lose a leading slash. A child has one parent; moving it to another parent
    replaces the edge, as tf2 does. Between two samples a moving edge is interpolated
    (linear and slerp), never extrapolated.

    Args:
        history_s: how long samples of moving edges are kept behind the newest one of the
            same edge, seconds; None keeps all. One that leaps further ahead than that, perhaps
            by an odd stamp, counts only when another follows.
        max_frames: transforms to further frames are refused; None takes all.
    """

    def __init__(self, history_s: float | None = None, max_frames: int | None = None) -> None:
        self._edges: dict[str, _Edge] = {}
        self._frames: set[str] = set()
        self._max_frames = max_frames
        self._history_ns = None if history_s is None else int(history_s * NANOSECONDS)

    @property
    def frames(self) -> frozenset[str]:
        """All frame names seen."""
        return frozenset(self._frames)

    def edges(self) -> list[tuple[str, str, bool, int]]:
        """(parent, child, is_static, number of samples), sorted by child."""
        return [
            (edge.parent, child, edge.is_static, len(edge.transforms))
            for child, edge in sorted(self._edges.items())
        ]

    def add_static(self, parent: str, child: str, parent_T_child: RigidTransform) -> bool:
        """An edge that holds at all times; a later one replaces it.

        Returns:
            Whether that changed anything.
        """
        edge = self._edge(parent, child, is_static=True)
        is_new = edge.transforms != [parent_T_child]
        edge.transforms[:] = [parent_T_child]
        return is_new

    def add(self, parent: str, child: str, stamp_ns: int, parent_T_child: RigidTransform) -> bool:
        """A sample of a moving edge; stamps may arrive in any order, equal ones replace.

        Returns:
            Whether that changed anything.
        """
        return self._add(parent, child, stamp_ns, parent_T_child)

    def add_numbers(
        self, parent: str, child: str, stamp_ns: int, numbers: tuple[float, ...]
    ) -> None:
        """The same, of a recording's many samples of which few are ever looked up.

        Args:
            parent, child, stamp_ns: as in add.
            numbers: x, y, z in metres and the quaternion x, y, z, w; a quarter of the memory and a
                tenth of the time of a RigidTransform.

        Raises:
            TransformError: the numbers are no transform, as from_quaternion says.
        """
        deviation = abs(math.hypot(*numbers[3:]) - 1.0)
        is_safe = deviation < 0.9 * QUATERNION_NORM_TOLERANCE and all(map(math.isfinite, numbers))
        if not is_safe:
            _transform(numbers)
        self._add(parent, child, stamp_ns, _SEVEN.pack(*numbers))

    def _add(self, parent: str, child: str, stamp_ns: int, sample: RigidTransform | bytes) -> bool:
        edge = self._edge(parent, child, is_static=False)
        position = bisect_left(edge.stamps_ns, stamp_ns)
        if position < len(edge.stamps_ns) and edge.stamps_ns[position] == stamp_ns:
            is_new = edge.transforms[position] != sample
            edge.transforms[position] = sample
            return is_new
        edge.stamps_ns.insert(position, stamp_ns)
        edge.transforms.insert(position, sample)
        if self._history_ns is not None:
            newest, before = edge.stamps_ns[-1], edge.stamps_ns[-2:][0]
            is_leap = newest - before > self._history_ns
            oldest = (before if is_leap else newest) - self._history_ns
            expired = bisect_left(edge.stamps_ns, oldest)
            del edge.stamps_ns[:expired], edge.transforms[:expired]
        return True

    def clear_moving(self) -> None:
        """Forgets moving edges, for a clock that jumped back; static ones stay."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.is_static}

    def clear_after(self, child: str, stamp_ns: int) -> None:
        """Forgets a moving edge's samples behind a time, for a sender whose stamps fell back."""
        edge = self._edges.get(_clean(child))
        if edge is None or edge.is_static:
            return
        kept = bisect_left(edge.stamps_ns, stamp_ns + 1)
        del edge.stamps_ns[kept:], edge.transforms[kept:]
        if not edge.stamps_ns:
            del self._edges[_clean(child)]

    def ancestors(self, frame: str) -> tuple[str, ...]:
        """A frame, its parent, and so on to the root; the frame alone where it is not known."""
        return tuple(self._ancestors(_clean(frame)))

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """``target_T_source`` at a time.

        Raises:
            UnknownFrameError, DisconnectedFramesError, OutOfRangeError.
        """
        target_path, source_path = self._paths(_clean(target), _clean(source))
        common_T_source = self._climb(source_path, stamp_ns)
        if not target_path:
            return common_T_source
        return self._climb(target_path, stamp_ns).inverse() @ common_T_source

    def lookup_newest(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """``target_T_source`` by what is known up to a time; if all is, exactly ``lookup``'s.

        A moving edge whose samples end before that time is taken at its newest, each edge for
        itself: a localisation's late correction does not hold up an odometry that is there.

        Raises:
            UnknownFrameError, DisconnectedFramesError, OutOfRangeError: that last one where an
                edge begins only later.
        """
        target_path, source_path = self._paths(_clean(target), _clean(source))
        common_T_source = self._climb(source_path, stamp_ns, late=True)
        if not target_path:
            return common_T_source
        return self._climb(target_path, stamp_ns, late=True).inverse() @ common_T_source

    def path(self, target: str, source: str) -> tuple[str, ...]:
        """Frames on the way from source to target, both included.

        Raises:
            UnknownFrameError, DisconnectedFramesError.
        """
        target_path, source_path = self._paths(_clean(target), _clean(source))
        common = self._edges[source_path[-1]].parent if source_path else _clean(source)
        return (*source_path, common, *reversed(target_path))

    def latest_ns(self, target: str, source: str) -> int | None:
        """Newest time at which ``lookup`` can answer; None where only static edges lie between.

        Raises:
            UnknownFrameError, DisconnectedFramesError.
        """
        moving = self._moving(target, source)
        return min((edge.stamps_ns[-1] for edge in moving), default=None)

    def period_ns(self, target: str, source: str) -> float:
        """Between the newest two samples of the slowest moving edge, nanoseconds.

        Infinite where an edge has a single one, 0 where only static edges lie between.

        Raises:
            UnknownFrameError, DisconnectedFramesError.
        """
        periods = (
            edge.stamps_ns[-1] - edge.stamps_ns[-2] if len(edge.stamps_ns) > 1 else math.inf
            for edge in self._moving(target, source)
        )
        return max(periods, default=0.0)

    def _moving(self, target: str, source: str) -> list[_Edge]:
        paths = self._paths(_clean(target), _clean(source))
        edges = [self._edges[child] for path in paths for child in path]
        return [edge for edge in edges if not edge.is_static]

    def _unknown(self, frame: str) -> str:
        close = difflib.get_close_matches(frame, self._frames, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        names = sorted(self._frames)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        known = ", ".join(names[:SHOWN]) + more or "none"
        return f"frame {frame!r} is not in TF{hint} (known frames: {known})"

    def _edge(self, parent: str, child: str, is_static: bool) -> _Edge:
        parent, child = _clean(parent), _clean(child)
        if not parent or not child or parent == child:
            raise TransformError(f"transform needs two different frames, got {parent!r}, {child!r}")
        is_full = self._max_frames is not None and len(self._frames) >= self._max_frames
        if is_full and child not in self._frames:
            raise TransformError(
                f"TF has {len(self._frames)} frames already, the most that are kept, so "
                f"{child[:80]!r} is not taken; somebody invents frames"
            )
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.is_static != is_static:
            if parent in self._frames and child in self._ancestors(parent):
                raise TransformError(f"transform {parent!r} -> {child!r} would close a loop in TF")
            edge = self._edges[child] = _Edge(parent, is_static)
        self._frames.update((parent, child))
        return edge

    def _ancestors(self, frame: str) -> list[str]:
        path = [frame]
        while path[-1] in self._edges:
            path.append(self._edges[path[-1]].parent)
        return path

    def _paths(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """Frames from each up to their first common ancestor, that one left out."""
        for frame in (target, source):
            if frame not in self._frames:
                raise UnknownFrameError(self._unknown(frame))
        target_path, source_path = self._ancestors(target), self._ancestors(source)
        common = next((frame for frame in source_path if frame in target_path), None)
        if common is None:
            raise DisconnectedFramesError(
                f"TF does not connect {source!r} (root {source_path[-1]!r}) with {target!r} "
                f"(root {target_path[-1]!r}); a transform between the two trees is missing"
            )
        return target_path[: target_path.index(common)], source_path[: source_path.index(common)]

    def _climb(self, path: list[str], stamp_ns: int, late: bool = False) -> RigidTransform:
        if not path:
            return RigidTransform.identity()
        ancestor_T_frame = self._at(path[0], stamp_ns, late)
        for child in path[1:]:
            ancestor_T_frame = self._at(child, stamp_ns, late) @ ancestor_T_frame
        return ancestor_T_frame

    def _at(self, child: str, stamp_ns: int, late: bool) -> RigidTransform:
        """An edge at a time; its newest where late ones will do and its samples end before."""
        edge = self._edges[child]
        if edge.is_static:
            return edge.at(0)
        stamps = edge.stamps_ns
        if late and stamps[-1] < stamp_ns:
            return edge.at(-1)
        position = bisect_left(stamps, stamp_ns)
        if position < len(stamps) and stamps[position] == stamp_ns:
            return edge.at(position)
        if position == 0 or position == len(stamps):
            early = position == 0
            gap_ms = (stamps[0] - stamp_ns if early else stamp_ns - stamps[-1]) / 1e6
            raise OutOfRangeError(
                f"TF {edge.parent!r} -> {child!r} is asked for at {stamp_ns / NANOSECONDS:.6f} s, "
                f"{gap_ms:.3f} ms {'before the first' if early else 'after the last'} of its "
                f"{len(stamps)} samples, which span {stamps[0] / NANOSECONDS:.6f} to "
                f"{stamps[-1] / NANOSECONDS:.6f} s; transforms are never extrapolated"
            )
        before, after = stamps[position - 1], stamps[position]
        fraction = (stamp_ns - before) / (after - before)
        return edge.at(position - 1).interpolate(edge.at(position), fraction)


def _transform(numbers: Sequence[float]) -> RigidTransform:
    """Of x, y, z and the quaternion x, y, z, w."""
    return RigidTransform.from_quaternion(numbers[3:], numbers[:3])


def _clean(frame: str) -> str:
    return frame.lstrip("/")
