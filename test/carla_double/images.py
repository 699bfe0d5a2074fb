# SPDX-License-Identifier: Apache-2.0
"""Double of carla.Image, and the cameras that fill it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import carla
import numpy as np

from bev_perception.geometry import PinholeCamera, Rig, RigCamera
from bev_perception.simulation import Renderer, Weather
from carla_double.left_handed import optical, right_handed
from carla_double.town import TownActors

GREY = 96
_DEPTH_RANGE_M = 1000.0


class FakeImage:
    """carla.Image; its buffer is overwritten when the image itself is gone, as freed memory is."""

    def __init__(
        self,
        frame: int,
        timestamp: float,
        transform: carla.Transform,
        fov: float,
        bgra: np.ndarray,
    ) -> None:
        self._frame, self._timestamp, self._transform = frame, timestamp, transform
        self._fov, self._size = fov, bgra.shape[:2]
        self._buffer = bytearray(bgra.tobytes())

    @property
    def frame(self) -> int:
        return self._frame

    @property
    def timestamp(self) -> float:
        return self._timestamp

    @property
    def transform(self) -> carla.Transform:
        return self._transform

    @property
    def fov(self) -> float:
        return self._fov

    @property
    def width(self) -> int:
        return self._size[1]

    @property
    def height(self) -> int:
        return self._size[0]

    @property
    def raw_data(self) -> memoryview:
        return memoryview(self._buffer)

    def __del__(self) -> None:
        self._buffer[:] = b"\xcd" * len(self._buffer)


@dataclass(frozen=True)
class Eye:
    """One camera: what its blueprint says, and its (4, 4) relative to the vehicle."""

    actor_id: int
    kind: str
    width: int
    height: int
    fov: float
    relative: tuple[tuple[float, ...], ...]

    @property
    def place(self) -> tuple[object, ...]:
        """Equal for cameras that see the same: colour and depth."""
        return self.width, self.height, self.fov, self.relative


class Cameras:
    """Draws the town for cameras that were asked for in CARLA's axes.

    Args:
        town: what they see.
        draw: False gives grey images without looking, for tests of everything but pixels.
    """

    def __init__(self, town: TownActors, draw: bool) -> None:
        self._town, self._draw = town, draw
        self._renderer: Renderer | None = None
        self._places: tuple[object, ...] = ()

    def look(self, eyes: list[Eye]) -> dict[int, np.ndarray]:
        """(height, width, 4) BGRA by actor id."""
        if not self._draw:
            return {eye.actor_id: _blank(eye) for eye in eyes}
        names = {place: str(k) for k, place in enumerate(dict.fromkeys(e.place for e in eyes))}
        if not names:
            return {}
        self._prepare(names, eyes)
        assert self._renderer is not None
        state = replace(self._town.visible_state(), map_T_base=self._town.map_T_ego)
        wants_depth = any(eye.kind == "depth" for eye in eyes)
        seen = self._renderer.render(state, ids=False, depths=wants_depth)
        return {
            eye.actor_id: _depth_bgra(seen.depths[names[eye.place]])
            if eye.kind == "depth"
            else _bgra(seen.images[names[eye.place]])
            for eye in eyes
        }

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _prepare(self, names: dict[tuple[object, ...], str], eyes: list[Eye]) -> None:
        if self._places == tuple(names):
            return
        self.close()
        rig = {names[eye.place]: _mounted(eye) for eye in eyes}
        weather = Weather()
        self._renderer = Renderer(Rig(rig), self._town.town.static_mesh, weather, self._town.seed)
        self._places = tuple(names)


def _mounted(eye: Eye) -> RigCamera:
    """A camera of the embedded renderer; its base is the vehicle's own body frame."""
    matrix = np.array(eye.relative)
    focal = eye.width / (2.0 * np.tan(eye.fov * np.pi / 360.0))
    camera = PinholeCamera.from_intrinsics(
        eye.width, eye.height, focal, focal, (eye.width - 1) / 2.0, (eye.height - 1) / 2.0
    )
    assert np.allclose(right_handed(matrix).rotation.T @ optical(matrix).rotation,
                       [[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # fmt: skip
    return RigCamera(camera, optical(matrix))


def _bgra(image: np.ndarray) -> np.ndarray:
    alpha = np.full((*image.shape[:2], 1), 255, dtype=np.uint8)
    return np.concatenate([image[..., ::-1], alpha], axis=-1)


def _depth_bgra(depth: np.ndarray) -> np.ndarray:
    code = np.round(np.clip(depth / _DEPTH_RANGE_M, 0.0, 1.0) * (256**3 - 1)).astype(np.int64)
    bgra = np.full((*depth.shape, 4), 255, dtype=np.uint8)
    bgra[..., 2], bgra[..., 1], bgra[..., 0] = code % 256, code // 256 % 256, code // 65536
    return bgra


def _blank(eye: Eye) -> np.ndarray:
    value = 255 if eye.kind == "depth" else GREY
    return np.full((eye.height, eye.width, 4), value, dtype=np.uint8)
