# SPDX-License-Identifier: Apache-2.0
"""Where the rig of a bag is another one than the one that is used throughout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bev_perception.bags.static_changes import StaticChange


@dataclass(frozen=True)
class RigChanges:
    """Calibrations and mountings that do not stay. Nothing changes by default.

    Attributes:
        calibrations: by camera whose CameraInfo changes, (stamp in ns, whether it is the first
            one again, which is used) of every change, in order.
        mountings: frames that do not stay, of those that cameras, clouds, labels and the ego pose
            need.
        frames: by camera, its own frame and all above it and above the vehicle frame.
    """

    calibrations: Mapping[str, Sequence[tuple[int, bool]]] = field(default_factory=dict)
    mountings: Sequence[StaticChange] = ()
    frames: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.calibrations or self.mountings)

    def cause(self, stamp_ns: int, log_ns: int) -> tuple[str, str] | None:
        """What is not as it is used at a moment, and of what; None where all is.

        Args:
            stamp_ns: by the cameras' clock, which CameraInfo has, too.
            log_ns: time of recording, the only one that /tf_static has.
        """
        for name in self.calibrations:
            if self._is_other_calibration(name, stamp_ns):
                return "calibration changed", f"camera {name}"
        for change in self.mountings:
            if not change.holds_at(log_ns):
                return "mounting changed", f"frame {change.child}"
        return None

    def holds_for(self, camera: str, stamp_ns: int, log_ns: int) -> bool:
        """Whether one camera is as it is used at a moment; see cause."""
        return not self._is_other_calibration(camera, stamp_ns) and self.stays(
            self.frames.get(camera, ()), log_ns
        )

    def stays(self, frames: Collection[str], log_ns: int) -> bool:
        """Whether these frames are where they are used at a time of recording."""
        return all(each.holds_at(log_ns) for each in self.mountings if each.child in frames)

    def concern(self, camera: str) -> bool:
        """Whether there are moments at which one camera is not as it is used."""
        frames = self.frames.get(camera, ())
        return camera in self.calibrations or any(each.child in frames for each in self.mountings)

    def sentences(self) -> list[str]:
        """For those who read what is left out where it does not fit: images, clouds and labels."""
        told = [
            f"camera {name}: its CameraInfo changes while it is recorded; images of another "
            f"calibration than the first one are left out"
            for name in self.calibrations
        ]
        return told + [
            f"{change}, and images, clouds and labels of the time when another one held are left "
            f"out"
            for change in self.mountings
        ]

    def _is_other_calibration(self, camera: str, stamp_ns: int) -> bool:
        told = [same for since, same in self.calibrations.get(camera, ()) if since <= stamp_ns]
        return bool(told) and not told[-1]
