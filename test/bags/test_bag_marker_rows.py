# SPDX-License-Identifier: Apache-2.0
"""Markers read from their bytes are those of the deserialized message, whatever else they hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.bags.headers import make_header
from bev_perception.bags.marker_rows import rows_from_bytes, rows_from_message
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.typestore import MARKER_ARRAY, bag_typestore, message_class
from bev_perception.geometry import ObjectBox, RigidTransform


@st.composite
def decorated(draw):
    """Markers with some of the fields that boxes do not need."""
    pose = RigidTransform.from_euler(yaw=draw(st.floats(-3, 3)), translation=(1.0, 2.0, 3.0))
    boxes = [ObjectBox("car", n, pose, np.ones(3)) for n in range(draw(st.integers(0, 4)))]
    message = boxes_to_markers(
        draw(st.integers(0, 2**40)), draw(st.text("abc/", max_size=9)), boxes
    )
    texts = st.text("aß0=. ", max_size=9)
    point = message_class("geometry_msgs/msg/Point")(1.0, 2.0, 3.0)
    color = message_class("std_msgs/msg/ColorRGBA")(0.1, 0.2, 0.3, 0.4)
    corner = message_class("visualization_msgs/msg/UVCoordinate")(0.5, 0.25)
    for marker in message.markers:
        marker.ns, marker.text = draw(texts), draw(texts)
        marker.texture_resource, marker.mesh_resource = draw(texts), draw(texts)
        marker.points = [point] * draw(st.integers(0, 2))
        marker.colors = [color] * draw(st.integers(0, 2))
        marker.uv_coordinates = [corner] * draw(st.integers(0, 2))
        marker.texture.header = make_header(draw(st.integers(0, 2**40)), draw(texts))
        marker.texture.data = np.zeros(draw(st.integers(0, 5)), np.uint8)
        marker.mesh_file.filename = draw(texts)
        marker.mesh_file.data = np.ones(draw(st.integers(0, 5)), np.uint8)
    return message


@settings(max_examples=60)
@given(decorated())
def test_bytes_and_message_tell_the_same(message):
    raw = bytes(bag_typestore().serialize_cdr(message, MARKER_ARRAY))
    assert rows_from_bytes(raw) == rows_from_message(message)
    big = bytes(bag_typestore().serialize_cdr(message, MARKER_ARRAY, little_endian=False))
    assert rows_from_bytes(big) is None
