# SPDX-License-Identifier: Apache-2.0
"""How drives become shards, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bev_perception.errors import ConfigurationError

RAW_FORMATS = ("jpeg", "png")


@dataclass(frozen=True)
class ShardSettings:
    """What the shards of a bag depend on beside the bag.

    Attributes:
        raw_format: what raw images are encoded as, jpeg or png; encoded ones stay as they are.
        jpeg_quality: of images that were raw, 1 to 100.
        min_distance_m: a set is kept once the vehicle has driven this far since the last one.
        standing_interval_s: while it has not, one set is kept every so many seconds, because
            others move while it stands; 0 keeps none.
        min_cameras: sets with fewer usable images are cut out; None asks for all cameras.
        sync_tolerance_ms: largest difference of stamps within a set.
        min_visibility: boxes seen for more than this share must be in an image.
        shard_mb: a shard that has reached this size is followed by another.
        max_points: larger LiDAR and radar clouds are thinned evenly; 0 leaves points out.
        rig_file: names topics or calibrates cameras, or None.
    """

    raw_format: str = "jpeg"
    jpeg_quality: int = 95
    min_distance_m: float = 0.2
    standing_interval_s: float = 5.0
    min_cameras: int | None = None
    sync_tolerance_ms: float = 50.0
    min_visibility: float = 0.4
    shard_mb: float = 256.0
    max_points: int = 200_000
    rig_file: Path | None = None

    def __post_init__(self) -> None:
        def require(holds: bool, name: str, expected: str) -> None:
            if not holds:
                raise ConfigurationError(f"{name} must be {expected}, got {getattr(self, name)!r}")

        require(self.raw_format in RAW_FORMATS, "raw_format", " or ".join(RAW_FORMATS))
        require(1 <= self.jpeg_quality <= 100, "jpeg_quality", "in 1 to 100")
        require(0.0 <= self.min_distance_m < 1e6, "min_distance_m", "0 or a length in metres")
        require(0.0 <= self.standing_interval_s < 1e9, "standing_interval_s", "0 or seconds")
        require(self.min_cameras is None or self.min_cameras >= 1, "min_cameras", "at least 1")
        require(0.0 < self.sync_tolerance_ms <= 200.0, "sync_tolerance_ms", "in 0 to 200")
        require(0.0 <= self.min_visibility < 1.0, "min_visibility", "in 0 to 1 (1 excluded)")
        require(0 <= self.max_points <= 100_000_000, "max_points", "0 or a count")
        require(0.001 <= self.shard_mb < 1e6, "shard_mb", "a size in megabytes")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the rig file by its content, which is what counts."""
        values = asdict(self)
        if self.rig_file is not None:
            values["rig_file"] = Path(self.rig_file).read_text(encoding="utf-8")
        return values
