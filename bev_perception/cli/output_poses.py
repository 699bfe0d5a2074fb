# SPDX-License-Identifier: Apache-2.0
"""Ego poses of a run, into its output bag."""

from __future__ import annotations

from bev_perception.bags import BagReader, BagWriter
from bev_perception.geometry import FrameSet


class OutputPoses:
    """Writes each set's pose in one world frame of the bag: that of the first pose.

    A vehicle frame has one parent in TF. So where the bag begins with odom alone and map comes
    later, all poses are written in odom; where map ends before odom, those behind are left out.

    Args:
        reader: of the bag that is run.
        writer: of the output, of the same base frame.
    """

    def __init__(self, reader: BagReader, writer: BagWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._world_frame = ""
        self._left_out = 0

    def write(self, frame_set: FrameSet) -> None:
        """The pose of a set that has one."""
        stamp_ns, pose = frame_set.stamp_ns, frame_set.world_T_base
        if pose is None:
            return
        self._world_frame = self._world_frame or frame_set.world_frame
        if frame_set.world_frame != self._world_frame:
            pose = self._reader.pose_in(self._world_frame, stamp_ns)
        if pose is None:
            self._left_out += 1
        else:
            self._writer.write_pose(stamp_ns, pose, self._world_frame)

    @property
    def findings(self) -> list[str]:
        """Sentences about poses that were left out."""
        if not self._left_out:
            return []
        return [
            f"ego pose: {self._left_out} sets have none in {self._world_frame}, the frame of the "
            f"first one; the output bag holds no pose for them"
        ]
