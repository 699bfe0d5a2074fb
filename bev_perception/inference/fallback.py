# SPDX-License-Identifier: Apache-2.0
"""Another engine takes over when the device's memory is not enough."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.inference.engine import Engine, EngineMemoryError, RawOutput, infer
from bev_perception.inference.engine_room import make_room
from bev_perception.model import ImageResize, LiftGeometry, SegnetConfig
from bev_perception.model.feature_memory import MemoryStep

_LOGGER = logging.getLogger(__name__)


class FallbackEngine:
    """Asks one engine until its device has too little memory, then another one for good.

    Args:
        engine: asked first.
        make_other: makes the other one when it is needed.
        name: of the other one, for the log.
    """

    def __init__(
        self, engine: Engine, make_other: Callable[[], Engine], name: str = "the CPU"
    ) -> None:
        self._engine = engine
        self._name = name
        self._make_other: Callable[[], Engine] | None = make_other

    @property
    def config(self) -> SegnetConfig:
        """What the network was built for."""
        return self._engine.config

    @property
    def backend(self) -> str:
        """Of the engine in use."""
        return self._engine.backend

    @property
    def device(self) -> str:
        """Of the engine in use."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """Of the engine in use."""
        return self._engine.precision

    @property
    def camera_batch(self) -> int:
        """Of the engine in use; 0 where it takes all cameras at a time."""
        return int(getattr(self._engine, "camera_batch", 0))

    @property
    def takes_raw_images(self) -> bool:
        """Of the engine in use; the other one is made such that it takes the same."""
        return self._engine.takes_raw_images

    def infer(
        self,
        images: NDArray[np.uint8],
        taps: LiftGeometry,
        resize: ImageResize | None = None,
        memory: MemoryStep | None = None,
        sensor_map: Tensor | None = None,
    ) -> RawOutput:
        """See Engine.infer and RememberingEngine.infer."""
        try:
            return infer(self._engine, images, taps, resize, memory, sensor_map)
        except EngineMemoryError as error:
            self._fall_back(error)
        return infer(self._engine, images, taps, resize, memory, sensor_map)

    def warm_up(self, num_cameras: int) -> None:
        """See Engine.warm_up."""
        try:
            self._engine.warm_up(num_cameras)
        except EngineMemoryError as error:
            self._fall_back(error)
            self._engine.warm_up(num_cameras)

    def make_room(self, taps: LiftGeometry) -> None:
        """See engine_room.make_room."""
        make_room(self._engine, taps)

    def _fall_back(self, error: EngineMemoryError) -> None:
        if self._make_other is None:
            raise error
        _LOGGER.warning("%s; %s takes over", error, self._name)
        self._engine, self._make_other = self._make_other(), None
