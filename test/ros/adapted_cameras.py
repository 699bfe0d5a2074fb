# SPDX-License-Identifier: Apache-2.0
"""A vehicle of carla_ros_bridge, or of the server itself, and the node that checks its cameras."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from carla_publishers import ForeignCameras
from grid_messages import SECOND
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigidTransform, load_rig
from bev_perception.resources import config_path

ADAPTER = "bev_perception.ros.carla_adapter_node"
BASE_T_EGO = RigidTransform.from_euler(translation=(1.5, 0.0, 0.0))
PERIOD_NS = 50_000_000


@pytest.fixture(scope="module")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rig with small images."""
    content = yaml.safe_load(config_path("rigs/default.yaml").read_text())
    for camera in content["cameras"].values():
        camera.update(width=96, height=64)
    path = tmp_path_factory.mktemp("rig") / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def rig(rig_file: Path) -> Rig:
    return load_rig(rig_file)


@pytest.fixture(scope="module")
def images(rig: Rig) -> dict[str, NDArray[np.uint8]]:
    """What the cameras see in the embedded town."""
    from bev_perception.simulation.simulator import Simulator

    with Simulator(11_007, rig) as simulator:
        (simulated,) = simulator.run(1)
    return {name: frame.image for name, frame in simulated.frame_set.frames.items()}


@pytest.fixture
def foreign(
    client: Any, rig: Rig, images: dict[str, NDArray[np.uint8]]
) -> Iterator[Callable[..., ForeignCameras]]:
    """foreign(role, **options): a vehicle of another publisher."""
    made: list[ForeignCameras] = []

    def make(role: str, mounted: Rig = rig, **options: Any) -> ForeignCameras:
        made.append(ForeignCameras(client, mounted, images, role, BASE_T_EGO, **options))
        return made[-1]

    yield make
    for cameras in made:
        cameras.close()


@pytest.fixture
def adapter(ros_process: Any, rig_file: Path) -> Callable[..., Any]:
    """adapter("native", **parameters): the node."""

    def start(source: str, **parameters: Any) -> Any:
        values = {"source": source, "rig_file": str(rig_file), "ego_position": [1.5, 0.0, 0.0]}
        return ros_process(ADAPTER, parameters={**values, **parameters})

    return start


class Ticks:
    """Publishes on and on, with growing stamps, until something has happened."""

    def __init__(self, wait_until: Callable[..., Any]) -> None:
        self._wait_until = wait_until
        self._stamps = itertools.count(10 * SECOND, PERIOD_NS)

    def until(self, condition: Callable[[], Any], publish: Callable[[int], Any], what: str) -> Any:
        """The first true value of condition."""

        def tick() -> Any:
            publish(next(self._stamps))
            return condition()

        return self._wait_until(tick, what=what)


@pytest.fixture
def ticks(wait_until: Callable[..., Any]) -> Ticks:
    return Ticks(wait_until)
