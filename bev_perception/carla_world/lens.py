# SPDX-License-Identifier: Apache-2.0
"""The cameras that CARLA can draw: ideal, with square pixels and the axis in the middle."""

from __future__ import annotations

import carla

from bev_perception.carla_world.conversion import field_of_view_deg
from bev_perception.errors import CarlaError
from bev_perception.geometry import PinholeCamera

NOTICEABLE_PX = 0.05
"""A difference below this is rounding in a rig file."""

_CLEAR_VIEW = {
    "sensor_tick": "0.0",
    "lens_k": "0.0",
    "lens_kcube": "0.0",
    "lens_circle_multiplier": "0.0",
    "lens_circle_falloff": "0.0",
    "lens_flare_intensity": "0.0",
    "chromatic_aberration_intensity": "0.0",
    "motion_blur_intensity": "0.0",
}
"""No distortion, flare or blur. An image every tick: cameras with a sensor_tick of their own do
not stay on the same ticks (carla issue 3653, ros-bridge issue 589)."""


def drawn_camera(camera: PinholeCamera) -> PinholeCamera:
    """The camera that CARLA draws when it is asked for this one: the same fx."""
    return PinholeCamera.from_field_of_view(camera.width, camera.height, field_of_view_deg(camera))


def differences(name: str, wanted: PinholeCamera, drawn: PinholeCamera) -> str:
    """How a drawn camera differs from the rig's, in words; empty when it does not."""
    found = []
    if abs(wanted.fy - drawn.fy) > NOTICEABLE_PX:
        found.append(f"fy is {drawn.fy:.2f} and not {wanted.fy:.2f}: its pixels are square")
    shift = max(abs(wanted.cx - drawn.cx), abs(wanted.cy - drawn.cy))
    if shift > NOTICEABLE_PX:
        found.append(
            f"its principal point is ({drawn.cx:.1f}, {drawn.cy:.1f}), the middle, and not "
            f"({wanted.cx:.1f}, {wanted.cy:.1f})"
        )
    if wanted.is_distorted:
        found.append(f"it has no {wanted.distortion_model} distortion")
    if not found:
        return ""
    return f"camera {name!r} is drawn as CARLA can: {'; '.join(found)}"


def camera_blueprint(
    library: carla.BlueprintLibrary, kind: str, camera: PinholeCamera
) -> carla.ActorBlueprint:
    """Blueprint of a camera without lens defects.

    Args:
        library: the server's.
        kind: ``rgb`` or ``depth``.
        camera: as drawn_camera gives it.
    """
    blueprint = library.find(f"sensor.camera.{kind}")
    wanted = {
        "image_size_x": str(camera.width),
        "image_size_y": str(camera.height),
        "fov": f"{field_of_view_deg(camera):.9g}",
        **_CLEAR_VIEW,
    }
    for key, value in wanted.items():
        if blueprint.has_attribute(key):
            blueprint.set_attribute(key, value)
    return blueprint


def check_image(name: str, image: carla.Image, camera: PinholeCamera) -> None:
    """Refuses images of another size or field of view than was asked for.

    Raises:
        CarlaError: the server draws something else.
    """
    wanted = camera.width, camera.height, field_of_view_deg(camera)
    found = image.width, image.height, float(image.fov)
    if found[:2] != wanted[:2] or abs(found[2] - wanted[2]) > 1e-3:
        raise CarlaError(
            f"camera {name!r}: CARLA draws {found[0]}x{found[1]} with a field of view of "
            f"{found[2]:g} degrees, asked for were {wanted[0]}x{wanted[1]} and {wanted[2]:g}"
        )
