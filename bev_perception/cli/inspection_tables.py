# SPDX-License-Identifier: Apache-2.0
"""An inspection as tables and as text."""

from __future__ import annotations

import math

from bev_perception.bags import BagSummary, CameraSummary
from bev_perception.cli.inspection import Inspection
from bev_perception.cli.result_tables import as_text
from bev_perception.geometry import Rig
from bev_perception.visualization import Table


def inspection_text(inspection: Inspection) -> str:
    """The whole inspection for a terminal."""
    summary = inspection.summary
    parts = [overview(summary)]
    parts += [f"{table.title}\n{as_text(table)}" for table in inspection_tables(inspection)]
    parts.append("Transforms\n" + transform_tree(summary))
    if inspection.synchronisation is not None:
        parts.append(inspection.synchronisation.description)
    findings = [f"- {text}" for text in inspection.findings] or ["nothing to complain about"]
    parts.append("Findings\n" + "\n".join(findings))
    return "\n\n".join(parts) + "\n"


def inspection_tables(inspection: Inspection) -> list[Table]:
    """Topics, cameras and synchronisation."""
    tables = [topics_table(inspection.summary), cameras_table(inspection.summary, inspection.rig)]
    if inspection.synchronisation is not None:
        sync = inspection.synchronisation
        rows = [
            [name, str(sync.missing.get(name, 0)), f"{delay:.1f}",
             str(sum(sync.dropped.get(name, {}).values()))]
            for name, delay in sync.delay_ms.items()
        ]  # fmt: skip
        columns = ["camera", "missing in sets", "median delay ms", "images in no set"]
        tables.append(Table(f"Synchronisation, sets: {sync.total}", columns, rows))
    return tables


def overview(summary: BagSummary) -> str:
    """Two lines about the bag."""
    labels = (
        "no labels"
        if summary.labels_topic is None
        else f"{summary.num_labels} label messages on {summary.labels_topic}"
    )
    return (
        f"{summary.path} ({summary.storage}): {summary.duration_s:.2f} s, "
        f"{summary.message_count} messages on {len(summary.topics)} topics\n"
        f"{len(summary.cameras)} cameras, vehicle frame {summary.base_frame or 'unknown'}, {labels}"
    )


def topics_table(summary: BagSummary) -> Table:
    """Counts, rates and gaps."""
    rows = [
        [topic.name, topic.msgtype, str(topic.count), _number(topic.rate_hz, 2),
         _number(topic.largest_gap_s, 3)]
        for topic in summary.topics
    ]  # fmt: skip
    return Table("Topics", ["topic", "type", "messages", "rate Hz", "largest gap s"], rows)


def cameras_table(summary: BagSummary, rig: Rig | None) -> Table:
    """Calibration against images, and mounting."""
    columns = [
        "camera", "image", "encoding", "calibrated for", "field of view", "focal length",
        "principal point", "distortion", "position m", "looks to",
    ]  # fmt: skip
    return Table("Cameras", columns, [_camera_row(camera, rig) for camera in summary.cameras])


def transform_tree(summary: BagSummary) -> str:
    """Frames indented under their parents."""
    children: dict[str, list[tuple[str, str]]] = {}
    for parent, child, is_static, samples in summary.tf_edges:
        kind = "static" if is_static else f"moving, {samples} samples"
        children.setdefault(parent, []).append((child, kind))
    below = {child for entries in children.values() for child, _ in entries}
    lines: list[str] = []

    def add(frame: str, kind: str, depth: int) -> None:
        lines.append("  " * depth + frame + (f"  ({kind})" if kind else ""))
        for child, child_kind in children.get(frame, ()):
            add(child, child_kind, depth + 1)

    for root in sorted(set(children) - below):
        add(root, "", 0)
    return "\n".join(lines) or "none"


def _camera_row(camera: CameraSummary, rig: Rig | None) -> list[str]:
    size = "-" if camera.image_size is None else f"{camera.image_size[0]}x{camera.image_size[1]}"
    row = [camera.name, size, camera.encoding or "-"]
    intrinsics = camera.camera
    if rig is not None:
        intrinsics = rig[camera.name].camera
    if intrinsics is None:
        row += ["-"] * 5
    else:
        distortion = " ".join(f"{value:g}" for value in intrinsics.distortion)
        row += [
            f"{intrinsics.width}x{intrinsics.height}",
            f"{intrinsics.horizontal_fov_deg:.1f} deg",
            f"{intrinsics.fx:.1f}, {intrinsics.fy:.1f}",
            f"{intrinsics.cx:.1f}, {intrinsics.cy:.1f}",
            f"{intrinsics.distortion_model} {distortion}".strip()
            if intrinsics.is_distorted
            else "none",
        ]
    if rig is None:
        return [*row, "-", "-"]
    pose = rig[camera.name].base_T_camera
    axis = pose.rotation[:, 2]
    yaw, pitch = math.degrees(math.atan2(axis[1], axis[0])), math.degrees(math.asin(axis[2]))
    position = ", ".join(f"{value:.2f}" for value in pose.translation)
    tilt = "up" if pitch > 0 else "down"
    return [*row, position, f"yaw {yaw:+.1f}, {abs(pitch):.1f} deg {tilt}"]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
