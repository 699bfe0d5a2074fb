# SPDX-License-Identifier: Apache-2.0
"""What the Rerun viewer shows where: cameras, the scene, the map from above, latency, the log."""

from __future__ import annotations

from collections.abc import Sequence

import rerun.blueprint as rrb

from bev_perception.visualization.palette import PAPER
from bev_perception.visualization.rerun_view import (
    BASE,
    BEV,
    GROUND,
    LATENCY,
    REPORTS,
    TIMELINE,
    camera_path,
)

_LATENCY_WINDOW_S = 30.0
_EYE = rrb.EyeControls3D(
    position=(-60.0, 0.0, 85.0), look_target=(2.0, 0.0, 0.0), eye_up=(0.0, 0.0, 1.0)
)
"""Above and behind the vehicle, looking forward and steeply down."""


def view_blueprint(cameras: Sequence[str], live: bool, with_reports: bool) -> rrb.Blueprint:
    """The layout.

    Args:
        cameras: in the order of their views.
        live: whether the newest moment is shown as it comes.
        with_reports: whether there are latencies or diagnostics to show.
    """
    overlays = [f"/{BASE}/predicted/boxes", f"/{BASE}/truth/boxes"]
    images = [
        rrb.Spatial2DView(origin=camera_path(name), contents=["$origin/**", *overlays], name=name)
        for name in cameras
    ]
    scene = rrb.Spatial3DView(
        origin=BASE,
        contents=["$origin/**", f"- /{GROUND}/probability"],
        name="around the vehicle",
        background=PAPER,
        eye_controls=_EYE,
        line_grid=False,
    )
    above = rrb.Spatial2DView(origin=BEV, name="from above, forward is up", background=PAPER)
    latency = rrb.TimeSeriesView(
        origin=LATENCY,
        name="latency, ms",
        time_ranges=rrb.VisibleTimeRange(
            TIMELINE,
            start=rrb.TimeRangeBoundary.cursor_relative(seconds=-_LATENCY_WINDOW_S),
            end=rrb.TimeRangeBoundary.cursor_relative(),
        ),
    )
    log = rrb.TextLogView(origin=REPORTS, name="diagnostics")
    top = [rrb.Grid(*images, grid_columns=min(2, len(images)))] if images else []
    scenes = rrb.Horizontal(*top, scene, above, column_shares=[4] * len(top) + [3, 3])
    return rrb.Blueprint(
        rrb.Vertical(scenes, rrb.Horizontal(latency, log), row_shares=[3, 1])
        if with_reports
        else scenes,
        rrb.TimePanel(
            state="collapsed", timeline=TIMELINE, play_state="following" if live else "paused"
        ),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        auto_views=False,
    )
