# SPDX-License-Identifier: Apache-2.0
"""Small scenes of known geometry for tests of the renderer."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.simulation.scene import (
    CATALOG,
    Material,
    Mesh,
    ObjectState,
    Weather,
    WorldState,
)

CALM = Weather(noise=0.0)


def quad(corners, material=Material.PLAIN, color=(0.4, 0.4, 0.4)) -> Mesh:
    """One face (4, 3), counter-clockwise from its visible side."""
    points = np.asarray(corners, dtype=np.float32)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    return Mesh(
        vertices=points,
        normals=np.repeat(normal[None], 4, axis=0).astype(np.float32),
        colors=np.repeat(np.array([color], dtype=np.float32), 4, axis=0),
        materials=np.full(4, int(material), dtype=np.uint8),
        faces=np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32),
    )


def ground(height=0.0, half=400.0, center=(0.0, 0.0)) -> Mesh:
    """A level square of asphalt."""
    x, y = center
    corners = [
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    ]
    return quad([(px, py, height) for px, py in corners], Material.ASPHALT, (0.08, 0.08, 0.08))


def merged(*meshes: Mesh) -> Mesh:
    """All triangles of several meshes."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    fields = ("vertices", "normals", "colors", "materials")
    joined = [np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in fields]
    faces = np.concatenate([mesh.faces + off for mesh, off in zip(meshes, offsets, strict=True)])
    return Mesh(*joined, faces.astype(np.int32))


def mounted(
    camera: PinholeCamera, yaw_deg=0.0, pitch_deg=0.0, position=(0.0, 0.0, 1.6)
) -> RigCamera:
    """A camera that looks along yaw, down by pitch."""
    body = RigidTransform.from_euler(
        pitch=np.radians(pitch_deg), yaw=np.radians(yaw_deg), translation=position
    )
    return RigCamera(camera, body @ BODY_T_OPTICAL)


def uneven_camera(width=320, height=240) -> PinholeCamera:
    """fx and fy differ and the principal point is far from the middle."""
    return PinholeCamera.from_intrinsics(width, height, 170.3, 231.9, 141.7, 98.2)


def front_rig(camera: PinholeCamera | None = None, **pose) -> Rig:
    """One camera named front."""
    return Rig({"front": mounted(camera or uneven_camera(), **pose)})


def placed(model, x, y, yaw=0.0, object_id=1, color=(0.5, 0.1, 0.1)) -> ObjectState:
    """An object standing on z = 0."""
    entry = CATALOG[model]
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, entry.size[2] / 2))
    box = ObjectBox(entry.label, object_id, pose, np.array(entry.size), np.zeros(3))
    return ObjectState(model, box, color)


def world(*objects: ObjectState, map_T_base=None, stamp_ns=1_000_000_000) -> WorldState:
    """A still world."""
    pose = map_T_base or RigidTransform.identity()
    return WorldState(stamp_ns, pose, np.zeros(3), tuple(objects))
