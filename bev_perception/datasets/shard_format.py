# SPDX-License-Identifier: Apache-2.0
"""How labelled sets lie in shards: names, versions, and the JSON of one set.

A data set is a folder::

    manifest.json                    what there is; written last
    drives/<drive>/drive.json        one drive: rig, shards, what was cut out
    drives/<drive>/000000.tar        shard in WebDataset's layout

and a shard holds, one after the other, for every set the files ``<key>.json`` and
``<key>.<camera>.jpg`` (or ``.png``), where the key is ``<drive>-<number>``, and ``<key>.lidar.npy``
and ``<key>.radar.npy`` where there are points, see stored_points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.datasets.stored_points import Clouds
from bev_perception.errors import BevError, DatasetError
from bev_perception.geometry import ObjectBox, Rig, RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.untrusted import parse_json as parse_json_text
from bev_perception.untrusted import shown

FORMAT = "bev_perception shards"
VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 1 holds no points."""

MANIFEST_NAME = "manifest.json"
DRIVE_NAME = "drive.json"
DRIVES_FOLDER = "drives"

_THREE = "[%.12g, %.12g, %.12g]"
_BOX_TEMPLATE = (
    f'{{"label": "%s", "id": %d, "position": {_THREE}, "quaternion": {_THREE[:-1]}, %.12g], '
    f'"size": {_THREE}, "velocity": {_THREE}, "visibility": %.12g}}'
)


@dataclass(frozen=True)
class StoredPicture:
    """An encoded image.

    Attributes:
        stamp_ns: time of exposure, nanoseconds.
        data: the file's bytes.
        suffix: ``jpg`` or ``png``.
    """

    stamp_ns: int
    data: bytes
    suffix: str


@dataclass(frozen=True, eq=False)
class StoredSet:
    """One labelled moment as it is written.

    Attributes:
        stamp_ns: of the set.
        pictures: by camera; only those that there are.
        world_T_base: ego pose, None where unknown.
        objects_json: of the boxes in base_link, not levelled; see boxes_to_json.
        rig: calibration of this moment.
        offset_ns: since the start of the source.
        segment: sets of one segment follow each other without a gap or a cut.
        clouds: by sensor, see stored_points; only those that there are.
    """

    stamp_ns: int
    pictures: Mapping[str, StoredPicture]
    world_T_base: RigidTransform | None
    objects_json: str
    rig: Rig
    offset_ns: int = 0
    segment: int = 0
    clouds: Clouds = field(default_factory=dict)


def set_key(drive: str, number: int) -> str:
    """Name that the files of a set share; WebDataset ends it at the first dot."""
    return f"{drive}-{number:06d}"


def set_json(stored: StoredSet, drive: str, source: str, rig_json: str) -> bytes:
    """The JSON file of one set; what is unknown is null.

    Args:
        stored: the set.
        drive, source: names.
        rig_json: JSON of rig_to_dict of the set's rig.
    """
    pose = stored.world_T_base
    record = {
        "version": VERSION,
        "drive": drive,
        "source": source,
        "offset_ns": stored.offset_ns,
        "stamp_ns": stored.stamp_ns,
        "segment": stored.segment,
        "world_T_base": None if pose is None else pose.matrix.tolist(),
        "images": {
            name: {"file": f"{name}.{picture.suffix}", "stamp_ns": picture.stamp_ns}
            for name, picture in stored.pictures.items()
        },
        "points": {
            sensor: {"file": f"{sensor}.npy", "count": len(points)}
            for sensor, points in stored.clouds.items()
        },
    }
    text = json.dumps(record, allow_nan=False)
    return f'{text[:-1]}, "rig": {rig_json}, "objects": {stored.objects_json}}}'.encode()


def boxes_to_json(boxes: BoxArrays) -> str:
    """A JSON list of boxes in base_link: metres, metres per second, quaternion x, y, z, w.

    Rounded to micrometres and nanoradians.
    """
    numbers = np.concatenate(
        [
            boxes.centers.round(6),
            boxes.quaternions.round(9),
            boxes.sizes.round(6),
            boxes.velocities.round(6),
            boxes.visibilities.round(6)[:, None],
        ],
        axis=1,
    )
    values: list[object] = []
    for label, number, row in zip(boxes.labels, boxes.object_ids.tolist(), numbers.tolist()):
        values += (label, number, *row)
    text = ", ".join([_BOX_TEMPLATE] * len(boxes)) % tuple(values)  # half the time of json.dumps
    return f"[{text.replace('nan', 'null')}]"


def box_from_dict(values: Mapping[str, Any]) -> ObjectBox:
    """The box of one of boxes_to_json's values.

    Raises:
        KeyError, TypeError, ValueError, BevError: they are not such values.
    """
    visibility = values["visibility"]
    if visibility is not None and not 0.0 <= visibility <= 1.0:
        raise DatasetError(f"visibility must lie in 0 to 1 or be null, got {visibility}")
    return ObjectBox(
        label=values["label"],
        object_id=int(values["id"]),
        pose=RigidTransform.from_quaternion(values["quaternion"], values["position"]),
        size=np.array(values["size"], dtype=np.float64),
        velocity=np.array(
            [math.nan if value is None else value for value in values["velocity"]], np.float64
        ),
        visibility=math.nan if visibility is None else float(visibility),
    )


def parse_json(text: str | bytes, where: str) -> dict[str, Any]:
    """A JSON mapping; NaN and infinity, which JSON does not have, are refused.

    Raises:
        DatasetError: it is none; the message names where.
    """

    def refuse(word: str) -> float:
        raise ValueError(f"holds {word}")

    try:
        values = parse_json_text(text, parse_constant=refuse)
    except ValueError as error:
        raise DatasetError(f"{where}: damaged: {error}; extract it again") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{where}: damaged: expected a mapping; extract it again")
    return values


def load_json(path: Path, what: str) -> dict[str, Any]:
    """A mapping of this format's version from a file of a data set.

    Raises:
        DatasetError: the file is missing, damaged, or of another format or version.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{path}: no {what} ({reason}); extract it again") from error
    values = parse_json(text, str(path))
    if values.get("format") != FORMAT:
        raise DatasetError(
            f"{path} is no {what} of bev extract: format {shown(values.get('format'))}"
        )
    check_version(values, str(path))
    return values


def check_version(values: Mapping[str, Any], where: str) -> None:
    """Refuses what another program has written.

    Raises:
        DatasetError: the version is none of READABLE_VERSIONS.
    """
    if values.get("version") not in READABLE_VERSIONS:
        raise DatasetError(
            f"{where} is of version {shown(values.get('version'))} of the shard format, this "
            f"program reads versions {' and '.join(map(str, READABLE_VERSIONS))}; extract the bags "
            f"again, or use the program that made it"
        )


def about_set(error: Exception, where: str) -> DatasetError:
    """What to say when the values of a set are not as they must be."""
    text = str(error) if isinstance(error, BevError) else f"{type(error).__name__} {error}"
    return DatasetError(f"{where}: damaged: {text[:300]}; extract the drive again")
