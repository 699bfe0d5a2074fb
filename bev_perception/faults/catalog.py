# SPDX-License-Identifier: Apache-2.0
"""All faults of messages, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

from bev_perception.faults import (
    calibration_faults,
    clock_faults,
    image_faults,
    stream_faults,
    transform_faults,
)
from bev_perception.faults.delivery import Kind
from bev_perception.faults.fault import Choice, Effect, Fault
from bev_perception.faults.image_faults import changed
from bev_perception.faults.stream_faults import SECOND

LATE_NS = SECOND
"""Delay of late images and transforms."""

SHIFT_NS = 10 * SECOND
"""How far stamps and clocks are off."""

_IMAGE, _INFO = frozenset({Kind.IMAGE}), frozenset({Kind.INFO})
_CAMERA = _IMAGE | _INFO
_TF = frozenset({Kind.TF, Kind.STATIC_TF})
_CLOCK = frozenset({Kind.CLOCK})

_TABLE: tuple[tuple[str, str, frozenset[Kind], Callable[[Choice], Effect]], ...] = (
    ("dead", "the camera sends nothing", _CAMERA, stream_faults.lost),
    ("late", "images come 1 s late", _IMAGE, stream_faults.delayed(LATE_NS)),
    ("frozen", "one image again and again", _IMAGE, image_faults.frozen),
    ("black", "all pixels black", _IMAGE, image_faults.of_one_level(image_faults.BLACK)),
    ("white", "all pixels white", _IMAGE, image_faults.of_one_level(image_faults.WHITE)),
    ("noisy", "every pixel random", _IMAGE, image_faults.noise),
    ("truncated", "half of the data missing", _IMAGE, changed(image_faults.truncated)),
    ("wrong_encoding", "unknown encoding", _IMAGE, changed(image_faults.of_wrong_encoding)),
    ("wrong_size", "half of the rows", _IMAGE, changed(image_faults.of_wrong_size)),
    ("wrong_stride", "rows shorter than pixels", _IMAGE, changed(image_faults.of_wrong_stride)),
    ("huge", "enlarged to over 1280 pixels", _IMAGE, changed(image_faults.huge)),
    ("claims_huge", "names 65536 x 65536", _IMAGE, changed(image_faults.claims_to_be_huge)),
    ("zero_sized", "no pixels", _IMAGE, changed(image_faults.of_no_size)),
    ("upside_down", "turned by 180 degrees", _IMAGE, changed(image_faults.upside_down)),
    ("mirrored", "left and right exchanged", _IMAGE, changed(image_faults.mirrored)),
    ("swapped", "two cameras exchanged", _IMAGE, image_faults.swapped),
    ("stamps_future", "stamps 10 s ahead", _IMAGE, stream_faults.shifted(SHIFT_NS)),
    ("stamps_past", "stamps 10 s behind", _IMAGE, stream_faults.shifted(-SHIFT_NS)),
    ("stamps_standing", "one stamp for all images", _IMAGE, stream_faults.standing_stamps),
    ("stamps_backward", "every second stamp goes back", _IMAGE, stream_faults.backward_stamps),
    ("info_nan", "NaN in CameraInfo", _INFO, changed(calibration_faults.intrinsics_of(math.nan))),
    ("info_zero", "zeros in CameraInfo", _INFO, changed(calibration_faults.intrinsics_of(0.0))),
    ("info_changing", "CameraInfo alternates", _INFO, calibration_faults.changing),
    (
        "info_wrong_focal",
        "focal length off by a tenth",
        _INFO,
        changed(calibration_faults.scaled_focal_length),
    ),
    ("tf_missing", "transforms are not sent", _TF, transform_faults.missing),
    ("tf_late", "transforms come 1 s late", frozenset({Kind.TF}), stream_faults.delayed(LATE_NS)),
    ("tf_contradictory", "two publishers disagree", _TF, transform_faults.contradictory),
    (
        "tf_nan",
        "NaN in quaternions",
        _TF,
        transform_faults.edited(transform_faults.with_nan_quaternion),
    ),
    ("clock_back", "/clock jumps back by 10 s", _CLOCK, clock_faults.jumped(-SHIFT_NS)),
    ("clock_forward", "/clock jumps ahead by 10 s", _CLOCK, clock_faults.jumped(SHIFT_NS)),
    ("clock_standing", "/clock does not change", _CLOCK, clock_faults.standing),
)

FAULTS: dict[str, Fault] = {name: Fault(name, *rest) for name, *rest in _TABLE}  # type: ignore[arg-type]
"""By name."""
