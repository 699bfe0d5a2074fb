# SPDX-License-Identifier: Apache-2.0
"""The tables of nuScenes, read from their JSON files as they are published.

Layout: ``ROOT/<version>/<table>.json`` are lists of rows with a ``token``; images lie at
``ROOT/<filename of a sample_data row>``. Quaternions are w, x, y, z; times are microseconds.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

from bev_perception.errors import DatasetError, TransformError
from bev_perception.geometry import RigidTransform
from bev_perception.untrusted import parse_json

Row = dict[str, Any]


class NuScenesTables:
    """Rows by token, of the tables that cameras and boxes need.

    Args:
        root: folder with the version's folder and the images.
        version: for example v1.0-mini.

    Raises:
        DatasetError: a table is missing or damaged.
    """

    def __init__(self, root: Path, version: str) -> None:
        self.root, self.version = Path(root), version
        if not (self.root / version).is_dir():
            raise DatasetError(
                f"{self.root} has no folder {version!r}; expected the root of nuScenes, with "
                f"{version}/sample.json and the folder samples"
            )
        self._tables: dict[str, dict[str, Row]] = {}

    def rows(self, table: str) -> dict[str, Row]:
        """All rows of a table by token.

        Raises:
            DatasetError: it is missing or damaged.
        """
        if table not in self._tables:
            path = self.root / self.version / f"{table}.json"
            try:
                rows = parse_json(path.read_bytes())
                self._tables[table] = {str(row["token"]): dict(row) for row in rows}
            except OSError as error:
                raise DatasetError(
                    f"{path}: cannot be read: {error.strerror or error}; download the metadata of "
                    f"nuScenes {self.version} again"
                ) from error
            except (ValueError, TypeError, KeyError) as error:
                raise DatasetError(
                    f"{path}: no table of nuScenes: {type(error).__name__} {error}; download the "
                    f"metadata again"
                ) from error
        return self._tables[table]

    def state(self) -> list[tuple[str, int, int]]:
        """(name, bytes, time of change in ns) of the files, which differs when they do.

        Raises:
            DatasetError: one cannot be read.
        """
        try:
            files = sorted((self.root / self.version).glob("*.json"))
            found = [(file.name, file.stat()) for file in files]
        except OSError as error:
            raise DatasetError(
                f"{self.root / self.version}: cannot be read: {error.strerror or error}"
            ) from error
        return [(name, values.st_size, values.st_mtime_ns) for name, values in found]

    def row(self, table: str, token: str) -> Row:
        """One row.

        Raises:
            DatasetError: there is none of this token.
        """
        found = self.rows(table).get(token)
        if found is None:
            raise DatasetError(
                f"{self.root / self.version}: no row {token!r} in {table}.json; the tables do not "
                f"belong together"
            )
        return found

    def pose(self, table: str, token: str) -> RigidTransform:
        """The transform of an ego_pose, calibrated_sensor or sample_annotation row.

        Raises:
            DatasetError: it is none.
        """
        row = self.row(table, token)
        try:
            w, x, y, z = row["rotation"]
            return RigidTransform.from_quaternion((x, y, z, w), row["translation"])
        except (KeyError, TypeError, ValueError, TransformError) as error:
            raise DatasetError(
                f"{self.root / self.version}/{table}.json: row {token!r}: no pose: {error}"
            ) from error

    def channel(self, sample_data: Row) -> str:
        """Name of the sensor, such as CAM_FRONT."""
        calibrated = self.row("calibrated_sensor", sample_data["calibrated_sensor_token"])
        return str(self.row("sensor", calibrated["sensor_token"])["channel"])

    def samples(self, scene: Row) -> list[Row]:
        """Keyframes of a scene in the order of time."""
        return self._samples_by_scene[scene["token"]]

    def sample_data(self, sample: Row) -> dict[str, Row]:
        """Keyframe data of a sample by channel."""
        return {
            self.channel(row): row
            for row in self._data_by_sample[sample["token"]]
            if row["is_key_frame"]
        }

    def sweeps(self, sample: Row) -> dict[str, list[Row]]:
        """Data between keyframes that belongs to a sample, by channel in the order of time."""
        found: dict[str, list[Row]] = defaultdict(list)
        rows = self._data_by_sample[sample["token"]]
        for row in sorted(rows, key=lambda row: row["timestamp"]):
            if not row["is_key_frame"]:
                found[self.channel(row)].append(row)
        return found

    def annotations(self, sample: Row) -> list[Row]:
        """Boxes of a keyframe."""
        return self._annotations_by_sample[sample["token"]]

    @cached_property
    def _samples_by_scene(self) -> dict[str, list[Row]]:
        found = self._grouped("sample", "scene_token")
        for rows in found.values():
            rows.sort(key=lambda row: row["timestamp"])
        return found

    @cached_property
    def _data_by_sample(self) -> dict[str, list[Row]]:
        return self._grouped("sample_data", "sample_token")

    @cached_property
    def _annotations_by_sample(self) -> dict[str, list[Row]]:
        return self._grouped("sample_annotation", "sample_token")

    def _grouped(self, table: str, key: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows(table).values():
            found[row[key]].append(row)
        return found
