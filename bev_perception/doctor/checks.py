# SPDX-License-Identifier: Apache-2.0
"""The checks of the doctor, in the order in which they run: later ones rest on earlier ones."""

from __future__ import annotations

from bev_perception.doctor.camera_info_check import check_camera_info, check_size
from bev_perception.doctor.checks_of_images import IMAGE_CHECKS
from bev_perception.doctor.examination import NamedCheck
from bev_perception.doctor.lens_check import check_distortion, check_focal, check_principal_point
from bev_perception.doctor.level_check import check_base_frame, check_poses
from bev_perception.doctor.mounting_check import (
    check_directions,
    check_mountings,
    check_optical_frames,
)
from bev_perception.doctor.rate_check import check_gaps, check_jitter, check_rate
from bev_perception.doctor.set_check import check_sets
from bev_perception.doctor.stamp_check import check_clock, check_offset, check_stamps
from bev_perception.doctor.topic_check import check_cameras, check_encoding
from bev_perception.doctor.transform_check import (
    check_publishers,
    check_quaternions,
    check_transform_times,
    check_transforms,
)

RECORDING_CHECKS: tuple[NamedCheck, ...] = (
    NamedCheck("cameras", "are there cameras, and images of them", check_cameras),
    NamedCheck("encoding", "can the images be read", check_encoding),
    NamedCheck("rate", "do all cameras send, equally often", check_rate),
    NamedCheck("jitter", "are the stamps even", check_jitter),
    NamedCheck("gaps", "are images lost", check_gaps),
    NamedCheck("stamps", "is there a growing stamp for each image", check_stamps),
    NamedCheck("clock", "stamps against the recorder's clock; drift", check_clock),
    NamedCheck("offset", "stamps of the cameras against each other", check_offset),
    NamedCheck("sets", "do images fall into sets of all cameras", check_sets),
    NamedCheck("camera-info", "is there one CameraInfo for each camera", check_camera_info),
    NamedCheck("size", "images against CameraInfo", check_size),
    NamedCheck("focal", "focal length against field of view", check_focal),
    NamedCheck("principal-point", "is it near the middle", check_principal_point),
    NamedCheck("distortion", "is the lens model one of this image", check_distortion),
    NamedCheck("quaternions", "are all transforms rotations", check_quaternions),
    NamedCheck("tf", "are the cameras connected with the vehicle", check_transforms),
    NamedCheck("tf-publishers", "does one sender place each frame", check_publishers),
    NamedCheck("tf-time", "do transforms reach the images' times", check_transform_times),
    NamedCheck("ego-pose", "is the vehicle's pose known, level and forward", check_poses),
    NamedCheck("base-frame", "does the vehicle frame lie on the ground", check_base_frame),
    NamedCheck("optical-frame", "are the cameras' frames optical ones", check_optical_frames),
    NamedCheck("mounting", "height, reach, roll and steepness", check_mountings),
    NamedCheck("directions", "views against names; left and right", check_directions),
)
"""Those that look at messages and geometry, and not into images."""

CHECKS: tuple[NamedCheck, ...] = RECORDING_CHECKS + IMAGE_CHECKS
"""All of them; docs/doctor.md has a row for each."""
