# SPDX-License-Identifier: Apache-2.0
"""With any subset of the cameras, -1 is exactly what none of those that are left sees.

Sight is worked out here anew, with OpenCV's projection and no part of the package's geometry but
the cells' centres: places of all heights are turned into each camera and projected.
"""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_network import CONFIG

from bev_perception.bags.occupancy_grids import occupancy_values, probability_values
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.inference import RawOutput
from bev_perception.perception import Pipeline, PipelineSettings

NAMES = ("front", "left", "rear", "right")
WIDTH, HEIGHT = 96, 64
OPTICAL_IN_BODY = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
BORDER_PX = 1e-6
"""Places that fall on an image's border as closely as this may be judged either way."""

WAYS_OF_LOSS = ("absent", "black", "one colour")


class OccupiedEngine:
    """Says that every cell is occupied, whatever it is shown."""

    config = CONFIG
    backend = device = "cpu"
    precision = "fp32"

    def infer(self, images, taps):
        maps = np.ones((4, *CONFIG.grid.shape), dtype=np.float32)
        return RawOutput(maps[0], 0 * maps[1], maps[2:])


def turn(roll, pitch, yaw):
    """Rotation about x, then y, then z, written out."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def sight(mounts, focal, attitude):
    """(cameras, num_y, num_x): sure sight and possible sight of each camera.

    Args:
        mounts: rotation of the body and position of each camera in base_link.
        focal: pixels.
        attitude: rotation from base_link to the level frame.
    """
    x, y = np.meshgrid(CONFIG.grid.x_centers, CONFIG.grid.y_centers)
    sure, possible = [], []
    matrix = np.array([[focal, 0, (WIDTH - 1) / 2], [0, focal, (HEIGHT - 1) / 2], [0, 0, 1.0]])
    for rotation, position in mounts:
        found = np.zeros((2, *CONFIG.grid.shape), dtype=bool)
        for height in CONFIG.heights_m:
            level = np.stack([x, y, np.full_like(x, height)], axis=-1).reshape(-1, 3)
            base = level @ attitude  # the inverse of a rotation is its transpose
            optical = (base - position) @ rotation @ OPTICAL_IN_BODY
            ahead = optical[:, 2] > 1e-3
            pixels = np.full((len(level), 2), -np.inf)
            none = np.zeros(3)
            projected, _ = cv2.projectPoints(optical[ahead], none, none, matrix, None)
            pixels[ahead] = projected.reshape(-1, 2)
            for kind, border in enumerate((-BORDER_PX, BORDER_PX)):
                low, size = -0.5 - border, np.array([WIDTH, HEIGHT])
                inside = ((pixels >= low) & (pixels <= size + low + 2 * border)).all(axis=1)
                found[kind] |= inside.reshape(CONFIG.grid.shape)
        sure.append(found[0])
        possible.append(found[1])
    return np.array(sure), np.array(possible)


def lost(image, way):
    return np.zeros_like(image) if way == "black" else np.full_like(image, 200)


angle = st.floats(-0.25, 0.25)


@settings(max_examples=6)
@given(
    errors=st.tuples(*[st.tuples(angle, angle, st.floats(-0.5, 0.5), st.floats(1.0, 2.2))] * 4),
    field_deg=st.floats(40.0, 120.0),
    attitude=st.tuples(st.floats(-0.08, 0.08), st.floats(-0.08, 0.08)),
    way=st.sampled_from(WAYS_OF_LOSS),
)
def test_unknown_cells_are_those_that_no_camera_left_sees_for_every_subset(
    errors, field_deg, attitude, way
):
    camera = PinholeCamera.from_field_of_view(WIDTH, HEIGHT, field_deg)
    focal = WIDTH / 2 / np.tan(np.radians(field_deg) / 2)
    random = np.random.default_rng(0)
    mounts, entries, frames = [], {}, {}
    for name, yaw, (roll, pitch, off, height) in zip(NAMES, (0, 0.5, 1, -0.5), errors):
        rotation = turn(roll, pitch, np.pi * yaw + off)
        position = np.array([1.5 * np.cos(np.pi * yaw), 0.8 * np.sin(np.pi * yaw), height])
        mounts.append((rotation, position))
        entries[name] = RigCamera(camera, RigidTransform(rotation @ OPTICAL_IN_BODY, position))
        rough = random.integers(0, 256, (8, 12, 3), dtype=np.uint8)
        frames[name] = CameraFrame(name, 1, cv2.resize(rough, (WIDTH, HEIGHT)))
    base_turn = turn(*attitude, 0.0)
    pose = RigidTransform(base_turn, np.zeros(3))
    sure, possible = sight(mounts, focal, base_turn)
    pipeline = Pipeline(OccupiedEngine(), Rig(entries), PipelineSettings(level_tolerance_deg=0.0))

    for present in product((True, False), repeat=4):
        given_frames = {
            name: frame if is_present else CameraFrame(name, 1, lost(frame.image, way))
            for (name, frame), is_present in zip(frames.items(), present)
            if is_present or way != "absent"
        }
        missing = tuple(name for name in NAMES if name not in given_frames)
        output = pipeline.process(FrameSet(1, given_frames, missing, pose))
        chosen = np.array(present)[:, None, None]
        assert not output.unknown[(sure & chosen).any(axis=0)].any(), present
        assert output.unknown[~(possible & chosen).any(axis=0)].all(), present
        for values in (occupancy_values(output, 0.5), probability_values(output)):
            np.testing.assert_array_equal(values == -1, output.unknown)
