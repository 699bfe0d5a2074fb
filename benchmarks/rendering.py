# SPDX-License-Identifier: Apache-2.0
"""How many four-camera sets per second the simulator makes.

    python benchmarks/rendering.py [--towns 3] [--sets 20]

Prints, per town, sets per second with shadows, ids and visibility, and where the time goes.
cpu_ms is processor time of all threads per set, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from bev_perception.geometry.rig_file import load_rig
from bev_perception.resources import config_path
from bev_perception.simulation.renderer import Renderer
from bev_perception.simulation.scene import Weather
from bev_perception.simulation.simulator import LABEL_RADIUS_M
from bev_perception.simulation.town import Town
from bev_perception.simulation.traffic import Traffic


def measure(seed: int, num_sets: int) -> dict[str, float]:
    """Milliseconds per set of each stage in one town, and its size."""
    rig = load_rig(config_path("rigs/default.yaml"))
    town = Town(seed)
    traffic = Traffic(town, seed)
    spent = dict.fromkeys(("traffic", "render", "visibility"), 0.0)
    processor_s = 0.0
    with Renderer(rig, town.static_mesh, Weather(noise=2.0), seed) as renderer:
        for index in range(num_sets + 2):
            if index == 2:
                spent = dict.fromkeys(spent, 0.0)
                processor_s = time.process_time()
            started = time.perf_counter()
            traffic.step(0.1)
            state = traffic.state()
            stepped = time.perf_counter()
            rendered = renderer.render(state)
            drawn = time.perf_counter()
            ego = state.map_T_base.translation
            distances = [np.linalg.norm(entry.box.center - ego) for entry in state.objects]
            near = np.flatnonzero(np.array(distances) <= LABEL_RADIUS_M)
            renderer.visibility(state, rendered, near.tolist())
            spent["traffic"] += stepped - started
            spent["render"] += drawn - stepped
            spent["visibility"] += time.perf_counter() - drawn
        device = renderer.device
    cpu_ms = 1e3 * (time.process_time() - processor_s) / num_sets
    result = {name: 1e3 * value / num_sets for name, value in spent.items()}
    print(
        f"{seed:>6} {len(town.static_mesh.faces):>10} {len(state.objects):>8} "
        + " ".join(f"{value:>9.1f}" for value in result.values())
        + f" {cpu_ms:>9.1f} {1e3 / sum(result.values()):>8.2f}   {device}",
        flush=True,
    )
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--towns", type=int, default=3)
    parser.add_argument("--sets", type=int, default=20)
    options = parser.parse_args()
    print(f"four cameras at 448x672, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print("  town  triangles  objects traffic_ms render_ms visib_ms    cpu_ms   sets/s   device")
    results = [measure(11_000 + index, options.sets) for index in range(options.towns)]
    total = sum(sum(result.values()) for result in results) / len(results)
    print(f"mean {1e3 / total:.2f} sets/s")


if __name__ == "__main__":
    main()
