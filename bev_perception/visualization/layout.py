# SPDX-License-Identifier: Apache-2.0
"""Where each camera's view goes in a picture of all of them."""

from __future__ import annotations

import math

from bev_perception.geometry import Rig


def camera_rows(rig: Rig) -> list[list[str]]:
    """Names of the rig's cameras in rows, the most forward looking ones on top.

    Within a row views are ordered as one turns the head from left to right, so left cameras
    stand left. One camera, or up to three that all look ahead, share one row; others two.
    """
    forward, leftward = {}, {}
    for name, entry in rig.cameras.items():
        axis = entry.base_T_camera.rotation[:, 2]
        forward[name], leftward[name] = float(axis[0]), float(axis[1])
    names = sorted(rig.cameras, key=lambda name: (-round(forward[name], 3), -leftward[name]))
    all_ahead = len(names) <= 3 and min(forward.values()) > 0.1
    top = len(names) if all_ahead else math.ceil(len(names) / 2)
    rows = [names[:top], names[top:]]
    return [sorted(row, key=lambda name: -leftward[name]) for row in rows if row]
