# SPDX-License-Identifier: Apache-2.0
"""A labelled moment of three cameras with any lens, without a bag."""

from __future__ import annotations

import numpy as np

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL

DISTORTIONS = {
    "none": ("none", ()),
    "plumb_bob": ("plumb_bob", (-0.2, 0.05, 0.004, -0.006, 0.01)),
    "rational": ("rational_polynomial", (0.1, 0.02, 0.003, -0.004, 0.01, 0.2, 0.03, 0.01)),
    "fisheye": ("equidistant", (0.02, -0.01, 0.003, -0.001)),
}


def a_sample(distortion="none"):
    random = np.random.default_rng(5)
    model, coefficients = DISTORTIONS[distortion]
    cameras = {}
    for name, yaw in {"front": 0.0, "left": 95.0, "odd": -130.0}.items():
        camera = PinholeCamera(
            64, 48, np.array([[40.0, 0.3, 29.0], [0, 41.0, 25.5], [0, 0, 1]]), model, coefficients
        )
        body = RigidTransform.from_euler(0.03, 0.1, np.radians(yaw), (1.0, 0.4, 1.6))
        cameras[name] = RigCamera(camera, body @ BODY_T_OPTICAL)
    objects = tuple(
        ObjectBox(
            "car",
            number,
            RigidTransform.from_euler(0.02, -0.03, yaw, (x, y, 0.8)),
            np.array([4.5, 1.8, 1.5]),
            velocity=np.array([2.0, 1.0, 0.1]),
        )
        for number, (x, y, yaw) in enumerate([(9, 3, 0.5), (-4, 9, 2.0), (-6, -8, -1.0)])
    )
    images = random.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    return Sample(images, np.ones(3, dtype=bool), Rig(cameras), objects)
