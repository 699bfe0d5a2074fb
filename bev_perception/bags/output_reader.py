# SPDX-License-Identifier: Apache-2.0
"""Perception's own output, read back from a bag in which it was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import message_stamp_ns
from bev_perception.bags.markers import boxes_from_markers
from bev_perception.bags.occupancy_grids import OCCUPIED, UNKNOWN, grid_from_message
from bev_perception.bags.point_clouds import fields_from_message
from bev_perception.bags.stamped_topic import StampedTopic
from bev_perception.errors import BagError
from bev_perception.geometry import BevOutput, ObjectBox, RigidTransform

DEFAULT_NODE = "/bev"
DIAGNOSTICS_TOPIC = "/diagnostics"


@dataclass(frozen=True)
class DiagnosticReport:
    """What one part of the system said of itself at a time.

    Attributes:
        stamp_ns: nanoseconds of the clock that the node goes by.
        name: of the part, for example ``bev: camera front``.
        level: 0 OK, 1 warning, 2 error, 3 stale.
        message: a sentence.
        values: figures by name, as text.
    """

    stamp_ns: int
    name: str
    level: int
    message: str
    values: dict[str, str]


class OutputReader:
    """Outputs of the perception node or of ``bev run`` by stamp. Use it as a context manager.

    Args:
        path: of the bag.
        node: name that the outputs' topics begin with.

    Raises:
        BagError: the bag cannot be read, or holds no output of that node.
    """

    def __init__(self, path: str | Path, node: str = DEFAULT_NODE) -> None:
        self.path = Path(path)
        self._node = node
        self._bag = BagFile(self.path)
        try:
            self._occupancy, self._probability, self._centers, self._markers = (
                self._required(f"{node}/{name}")
                for name in ("occupancy_grid", "probability_grid", "centers", "markers")
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OutputReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        self._bag.close()

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the outputs that were recorded whole, sorted."""
        topics = (self._occupancy, self._probability, self._centers, self._markers)
        return sorted(set.intersection(*(set(topic.stamps_ns) for topic in topics)))

    def output(
        self,
        stamp_ns: int,
        level_T_base: RigidTransform | None = None,
        occupancy_threshold: float = 0.5,
    ) -> BevOutput | None:
        """What perception said of the images of a stamp.

        Probabilities are recorded in whole percent; where rounding took one to the other side of
        the threshold, it is set beside it as the occupancy grid says. Cells that no camera saw
        have probability 0. Centre map, offsets and health are not recorded.

        Args:
            stamp_ns: of the images.
            level_T_base: takes the recorded objects, in base_link, to the levelled base_link
                of the output; default the identity.
            occupancy_threshold: that the occupancy grid was made with.

        Returns:
            None where the output is not there or not whole.

        Raises:
            BagError: the messages do not fit together.
        """
        topics = (self._occupancy, self._probability, self._centers, self._markers)
        found = [topic.nearest(stamp_ns, 0) for topic in topics]
        if any(entry is None for entry in found):
            return None
        occupancy, percent, centers, markers = (entry[1] for entry in found if entry is not None)
        grid, occupancy_values = grid_from_message(occupancy, self._occupancy.name)
        other_grid, percent_values = grid_from_message(percent, self._probability.name)
        if other_grid != grid:
            raise BagError(
                f"{self.path}: {self._occupancy.name} and {self._probability.name} have "
                f"different grids at {stamp_ns} ns; record both from the same node"
            )
        level_T_base = level_T_base or RigidTransform.identity()
        objects = self._objects(markers, centers)
        return BevOutput(
            stamp_ns=stamp_ns,
            grid=grid,
            probability=_probability(occupancy_values, percent_values, occupancy_threshold),
            unknown=occupancy_values == UNKNOWN,
            center=np.zeros(grid.shape, dtype=np.float32),
            offset=np.zeros((2, *grid.shape), dtype=np.float32),
            objects=tuple(box.transformed(level_T_base) for box in objects),
            level_T_base=level_T_base,
        )

    def latencies_ms(self) -> dict[str, NDArray[np.float64]]:
        """Milliseconds by stage, in the order of recording; empty where none were published."""
        values: dict[str, list[float]] = defaultdict(list)
        for stage, _, duration in self.latencies():
            values[stage].append(duration)
        return {stage: np.array(durations) for stage, durations in values.items()}

    def latencies(self) -> Iterator[tuple[str, int | None, float]]:
        """(stage, stamp, milliseconds) in the order of recording.

        Latencies have no stamps of their own: the stamp is that of the occupancy grid that was
        recorded last before it, None before the first.
        """
        prefix = f"{self._node}/debug/latency_ms/"
        connections = [c for c in self._bag.connections if c.topic.startswith(prefix)]
        grids = [c for c in self._bag.connections if c.topic == self._occupancy.name]
        stamp: int | None = None
        for connection, log_ns, raw in self._bag.messages(connections + grids):
            if connection.topic == self._occupancy.name:
                stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            else:
                duration = float(self._bag.decode(connection, raw).data)
                yield connection.topic.removeprefix(prefix), stamp, duration

    def diagnostics(self) -> list[DiagnosticReport]:
        """Everything that was said on /diagnostics, in the order of recording."""
        connections = [c for c in self._bag.connections if c.topic == DIAGNOSTICS_TOPIC]
        reports = []
        for connection, log_ns, raw in self._bag.messages(connections) if connections else ():
            stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            for status in self._bag.decode(connection, raw).status:
                values = {entry.key: entry.value for entry in status.values}
                reports.append(
                    DiagnosticReport(stamp, status.name, int(status.level), status.message, values)
                )
        return reports

    def _required(self, name: str) -> StampedTopic:
        connection = next((c for c in self._bag.connections if c.topic == name), None)
        if connection is None or not connection.msgcount:
            raise BagError(
                f"{self.path}: nothing was recorded on {name}; was the perception node running, "
                f"and was the topic among those recorded?"
            )
        return StampedTopic.scan(self._bag, connection)

    def _objects(self, markers: Any, centers: Any) -> list[ObjectBox]:
        """Boxes of the markers, with the exact scores of the centres."""
        boxes = [box for _, box in boxes_from_markers(markers, self._markers.name)]
        table = fields_from_message(centers, self._centers.name)
        if len(table) != len(boxes):
            raise BagError(
                f"{self.path}: {self._markers.name} has {len(boxes)} objects where "
                f"{self._centers.name} has {len(table)}; record both from the same node"
            )
        return [replace(box, score=float(row["score"])) for box, row in zip(boxes, table)]


def _probability(
    occupancy: NDArray[np.int8], percent: NDArray[np.int8], threshold: float
) -> NDArray[np.float32]:
    """Float32 in 0..1, above the threshold exactly where occupied."""
    at = np.float32(threshold)
    above, below = np.nextafter(at, np.float32(2.0)), np.nextafter(at, np.float32(-1.0))
    values = np.maximum(percent, 0).astype(np.float32) / np.float32(100.0)
    values = np.where(occupancy == OCCUPIED, np.maximum(values, above), np.minimum(values, below))
    return np.clip(values, 0.0, 1.0).astype(np.float32)
