# SPDX-License-Identifier: Apache-2.0
"""Images are reproducible, lit by the sun, and refused where OpenGL cannot work."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import moderngl
import numpy as np
import pytest
from render_helpers import CALM, front_rig, ground, merged, placed, quad, world

from bev_perception.errors import SystemLibraryError
from bev_perception.simulation.renderer import Renderer
from bev_perception.simulation.scene import Material, Weather

HOUSE = [(30, 20, 0), (30, -20, 0), (30, -20, 15), (30, 20, 15)]


def scene_digest() -> str:
    """Digest of a scene with every effect: textures, shadows, noise, ids, depth."""
    facade = quad(HOUSE, Material.FACADE)
    objects = (placed("hatchback", 9.0, 1.0, 0.5), placed("bicycle", 6.0, -2.0))
    with Renderer(front_rig(), merged(ground(), facade), Weather(noise=2.0), seed=4) as renderer:
        rendered = renderer.render(world(*objects), depths=True)
    digest = hashlib.sha256()
    for images in (rendered.images, rendered.ids, rendered.depths):
        digest.update(np.ascontiguousarray(images["front"]).tobytes())
    return digest.hexdigest()


def test_same_seed_gives_the_same_bytes_in_other_processes_and_thread_counts():
    code = "import test_renderer_images as t; print(t.scene_digest())"
    digests = {scene_digest()}
    for threads in ("0", "2"):
        environment = {**os.environ, "LP_NUM_THREADS": threads}
        here = str(Path(__file__).parent)
        environment["PYTHONPATH"] = os.pathsep.join([here, *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_noise_has_the_weathers_deviation_and_changes_with_time_and_seed():
    weather = replace(CALM, noise=3.0)
    images = []
    with Renderer(front_rig(), ground(), CALM) as renderer:
        clean = renderer.render(world()).images["front"].astype(int)
    for seed, stamp_ns in ((1, 10), (1, 20), (2, 10)):
        with Renderer(front_rig(), ground(), weather, seed) as renderer:
            images.append(renderer.render(world(stamp_ns=stamp_ns)).images["front"].astype(int))
    for image in images:
        assert 2.7 < (image - clean)[40:200].std() < 3.3
    assert (images[0] != images[1]).mean() > 0.5
    assert (images[0] != images[2]).mean() > 0.5


def test_objects_throw_shadows_where_the_sun_says():
    sun_left = replace(CALM, sun_azimuth_deg=90.0, sun_elevation_deg=35.0)
    overcast = replace(sun_left, sun_strength=0.0)
    truck = world(placed("box_truck", 14.0, 3.0))
    brightness = {}
    for name, weather in (("sun", sun_left), ("overcast", overcast)):
        rig = front_rig(pitch_deg=6.0)
        pixels, _ = rig.cameras["front"].project(np.array([[14.0, -0.4, 0.0], [14.0, -5.0, 0.0]]))
        (u0, v0), (u1, v1) = np.round(pixels).astype(int)
        with Renderer(rig, ground(), weather) as renderer:
            image = renderer.render(truck).images["front"].astype(float)
        shadow = image[v0 - 1 : v0 + 2, u0 - 2 : u0 + 3].mean()
        brightness[name] = shadow / image[v1 - 1 : v1 + 2, u1 - 2 : u1 + 3].mean()
    assert brightness["sun"] < 0.8
    assert brightness["overcast"] > 0.85


def test_paint_takes_the_objects_colour():
    rig = front_rig()
    means = {}
    for name, color in (("red", (0.6, 0.02, 0.02)), ("blue", (0.02, 0.02, 0.6))):
        with Renderer(rig, ground(), CALM) as renderer:
            rendered = renderer.render(world(placed("van", 8.0, 0.0, color=color)))
        means[name] = rendered.images["front"][rendered.ids["front"] == 1].mean(axis=0)
    assert means["red"][0] > 1.5 * means["red"][2]
    assert means["blue"][2] > 1.5 * means["blue"][0]


def test_fog_hides_the_distance():
    wall = quad([(80, 60, 0), (80, -60, 0), (80, -60, 40), (80, 60, 40)], color=(0.02, 0.02, 0.02))
    center = []
    for density in (0.0, 0.03):
        weather = replace(CALM, fog_density=density)
        with Renderer(front_rig(), wall, weather) as renderer:
            center.append(renderer.render(world()).images["front"][90, 140].mean())
    assert center[1] > center[0] + 60


def test_missing_egl_says_what_to_install(monkeypatch):
    def no_library(**_):
        raise Exception("libEGL.so not loaded")

    monkeypatch.setattr(moderngl, "create_context", no_library)
    with pytest.raises(SystemLibraryError) as caught:
        Renderer(front_rig(), ground(), CALM)
    message = str(caught.value)
    assert "install libegl1 libgl1 libgl1-mesa-dri" in message
    assert "\n" not in message


def test_another_thread_is_refused():
    errors = []

    def render() -> None:
        try:
            renderer.render(world())
        except RuntimeError as error:
            errors.append(str(error))

    with Renderer(front_rig(), ground(), CALM) as renderer:
        thread = threading.Thread(target=render)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert "only in the thread that created it" in errors[0]


def test_renderers_of_one_thread_do_not_disturb_each_other():
    """Each draws what it draws alone, in turns and after the other is closed."""
    state, house = world(placed("hatchback", 9.0, 0.0)), quad(HOUSE, Material.FACADE)
    alone = []
    for mesh in (ground(), merged(ground(), house)):
        with Renderer(front_rig(), mesh, Weather(), seed=1) as renderer:
            alone.append(renderer.render(state).images["front"])
    assert (alone[0] != alone[1]).any()
    first = Renderer(front_rig(), ground(), Weather(), seed=1)
    with Renderer(front_rig(), merged(ground(), house), Weather(), seed=1) as second:
        for _ in range(2):
            for renderer, wanted in zip((first, second), alone):
                np.testing.assert_array_equal(renderer.render(state).images["front"], wanted)
    found = first.render(state)
    np.testing.assert_array_equal(found.images["front"], alone[0])
    assert first.visibility(state, found, [0]) == pytest.approx(1.0)
    first.close()


def test_a_closed_renderer_is_refused():
    renderer = Renderer(front_rig(), ground(), CALM)
    renderer.close()
    renderer.close()
    with pytest.raises(RuntimeError, match="closed"):
        renderer.render(world())
