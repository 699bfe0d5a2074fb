# SPDX-License-Identifier: Apache-2.0
"""Which of the running system's topics a viewer shows."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.bags.discovery import is_rectified
from bev_perception.errors import ConfigurationError

TRANSPORTS = ("auto", "raw", "compressed")


@dataclass(frozen=True)
class ViewerSettings:
    """What is shown.

    Attributes:
        cameras: names.
        image_topic, info_topic: {camera} stands for the camera's name.
        transport: raw for Image, compressed for CompressedImage on /compressed below image_topic,
            auto for raw images where somebody publishes them, else compressed ones.
        rectified: whether all images are rectified, whatever their topics are named.
        node: whose outputs are shown, with its namespace.
        truth_topic: MarkerArray of labelled objects.
        base_frame: of the vehicle.
        max_rate_hz: how often at most each topic is shown.

    Raises:
        ConfigurationError: no cameras, or the same topic for several.
    """

    cameras: tuple[str, ...] = ("front", "left", "rear", "right")
    image_topic: str = "/camera/{camera}/image_raw"
    info_topic: str = "/camera/{camera}/camera_info"
    transport: str = "auto"
    rectified: bool = False
    node: str = "/bev"
    truth_topic: str = "/ground_truth/objects"
    base_frame: str = "base_link"
    max_rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ConfigurationError("no cameras to show; name at least one")
        if self.transport not in TRANSPORTS:
            raise ConfigurationError(
                f"image transport {self.transport!r} is none of {', '.join(TRANSPORTS)}"
            )
        for name in ("image_topic", "info_topic"):
            template = getattr(self, name)
            if len(self.cameras) > 1 and "{camera}" not in template:
                raise ConfigurationError(
                    f"{name} {template!r} is the same for all of {', '.join(self.cameras)}; put "
                    f"{{camera}} where the name belongs"
                )

    def raw_topic_of(self, camera: str) -> str:
        """Where a camera's raw images are."""
        return self.image_topic.replace("{camera}", camera).removesuffix("/compressed")

    def compressed_topic_of(self, camera: str) -> str:
        """Where its compressed images are."""
        return f"{self.raw_topic_of(camera)}/compressed"

    @property
    def rectified_cameras(self) -> frozenset[str]:
        """Cameras whose images are rectified."""
        told = True if self.rectified else None
        return frozenset(
            name for name in self.cameras if is_rectified(self.raw_topic_of(name), told)
        )

    def info_topic_of(self, camera: str) -> str:
        """Where its CameraInfo is."""
        return self.info_topic.replace("{camera}", camera)
