# SPDX-License-Identifier: Apache-2.0
"""What a Rerun file says, read back with Rerun's own reader into plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rerun.chunk import RrdReader

from bev_perception.geometry import RigidTransform


class Recording:
    """Values by entity, component and stamp.

    Args:
        path: an .rrd file.
    """

    def __init__(self, path: Path) -> None:
        self._rows: dict[str, list[tuple[int | None, dict[str, Any]]]] = {}
        for chunk in RrdReader(str(path)).stream().to_chunks():
            batch = chunk.to_record_batch()
            stamps = [None] * batch.num_rows
            if "stamp" in batch.schema.names:
                stamps = batch.column("stamp").cast(pa.int64()).to_pylist()
            components = [name for name in batch.schema.names if ":" in name]
            columns = {name: batch.column(name).to_pylist() for name in components}
            for index, stamp in enumerate(stamps):
                row = {name: column[index] for name, column in columns.items()}
                self._rows.setdefault(chunk.entity_path, []).append((stamp, row))

    @property
    def entities(self) -> set[str]:
        """Paths of everything but properties."""
        return {path for path in self._rows if not path.startswith("/__")}

    def stamps(self, path: str) -> list[int]:
        """At which an entity was logged, sorted, each once."""
        return sorted({stamp for stamp, _ in self._rows.get(path, []) if stamp is not None})

    def values(self, path: str, component: str, stamp_ns: int | None = None) -> Any:
        """The newest value of a component at exactly a stamp; None: the static one."""
        found = [
            row[component]
            for stamp, row in self._rows[path]
            if stamp == stamp_ns and row.get(component) is not None
        ]
        assert found, f"{path} has no {component} at {stamp_ns}"
        return found[-1]

    def array(self, path: str, component: str, stamp_ns: int | None = None) -> NDArray[Any]:
        """The same as an array."""
        return np.array(self.values(path, component, stamp_ns))

    def transform(self, path: str, stamp_ns: int | None = None) -> RigidTransform:
        """Takes points of the entity to its parent; matrices are stored column by column."""
        rotation = self.array(path, "Transform3D:mat3x3", stamp_ns).reshape(3, 3).T
        translation = self.array(path, "Transform3D:translation", stamp_ns).reshape(3)
        return RigidTransform(rotation.astype(float), translation.astype(float))

    def intrinsics(self, path: str) -> NDArray[np.float64]:
        """(3, 3) of a pinhole."""
        return self.array(path, "Pinhole:image_from_camera").reshape(3, 3).T.astype(float)

    def image(self, path: str, stamp_ns: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of an encoded image."""
        data = self.array(path, "EncodedImage:blob", stamp_ns).astype(np.uint8).reshape(-1)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]

    def grid_colors(self, path: str, stamp_ns: int) -> NDArray[np.uint8]:
        """(rows, columns, 3) of a grid map as it is stored, its first row on top."""
        (shape,) = self.values(path, "GridMap:format", stamp_ns)
        data = self.array(path, "GridMap:data", stamp_ns).astype(np.uint8)
        return data.reshape(shape["height"], shape["width"], 3)
