# SPDX-License-Identifier: Apache-2.0
"""Pictures, video and reports. In every picture from above, forward is up and left is left."""

from bev_perception.visualization.bev_picture import BevView, bev_picture, output_picture
from bev_perception.visualization.curve_picture import Curve, curve_picture
from bev_perception.visualization.drawing import box_polylines, draw_boxes
from bev_perception.visualization.frame_picture import (
    camera_picture,
    comparison_picture,
    frame_picture,
)
from bev_perception.visualization.ground_grid import draw_ground_grid
from bev_perception.visualization.image_file import encode_image, write_image
from bev_perception.visualization.layout import camera_rows
from bev_perception.visualization.report import (
    KeyFigure,
    Picture,
    Report,
    Table,
    render_report,
    write_report,
)
from bev_perception.visualization.video import VideoWriter, video_encoder

__all__ = [
    "BevView",
    "Curve",
    "KeyFigure",
    "Picture",
    "Report",
    "Table",
    "VideoWriter",
    "bev_picture",
    "box_polylines",
    "camera_picture",
    "camera_rows",
    "comparison_picture",
    "curve_picture",
    "draw_boxes",
    "draw_ground_grid",
    "encode_image",
    "frame_picture",
    "output_picture",
    "render_report",
    "video_encoder",
    "write_image",
    "write_report",
]
