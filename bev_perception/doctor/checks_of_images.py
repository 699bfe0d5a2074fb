# SPDX-License-Identifier: Apache-2.0
"""The checks that look into images."""

from __future__ import annotations

from bev_perception.doctor.colour_check import check_colours
from bev_perception.doctor.examination import NamedCheck
from bev_perception.doctor.geometry_check import check_geometry
from bev_perception.doctor.image_checks import check_content, check_frozen
from bev_perception.doctor.orientation_check import check_orientation

IMAGE_CHECKS: tuple[NamedCheck, ...] = (
    NamedCheck("image-content", "do images show anything, without much noise", check_content),
    NamedCheck("image-colours", "are red and blue where they belong", check_colours),
    NamedCheck("image-frozen", "is there a new image each time", check_frozen),
    NamedCheck("image-view", "whose images are they, and which way up", check_orientation),
    NamedCheck("geometry", "angles, height, focal length against motion", check_geometry),
)
"""In their order: what shows nothing is not asked for its geometry."""
