# SPDX-License-Identifier: Apache-2.0
"""The part of a turned image that a real camera has seen; the rest of it is made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from bev_perception.geometry.camera import PinholeCamera


@dataclass(frozen=True, eq=False)
class Window:
    """The camera behind an image that is turned about its optical centre; equal by values.

    Attributes:
        camera: the real one, or one behind whose image there is another.
        real_R_turned: (3, 3) turns rays of the image's optical frame into the real camera's.
    """

    camera: PinholeCamera
    real_R_turned: NDArray[np.float64]

    def __post_init__(self) -> None:
        rotation = np.array(self.real_R_turned, dtype=np.float64).reshape(3, 3)
        rotation.setflags(write=False)
        object.__setattr__(self, "real_R_turned", rotation)

    def shows(self, rays: ArrayLike) -> NDArray[np.bool_]:
        """Whether the real camera's image holds rays (..., 3) of the turned optical frame."""
        values = np.asarray(rays, dtype=np.float64)
        pixels, valid = self.camera.project(values @ self.real_R_turned.T)
        return np.asarray(valid & self.camera.contains(pixels))

    @property
    def key(self) -> tuple[object, ...]:
        """By which windows are told apart."""
        return self.camera, tuple(self.real_R_turned.ravel().tolist())

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, Window) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)
