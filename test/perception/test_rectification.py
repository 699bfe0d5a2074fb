# SPDX-License-Identifier: Apache-2.0
"""Images of any mounting become those of the canonical rig, exactly where both cameras see."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.errors import CalibrationError, ConfigurationError, EngineError
from bev_perception.geometry import (
    BevGrid,
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig_record import rig_from_dict, rig_to_dict
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.inference import TorchEngine
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.model import Segnet, SegnetConfig, build_lift_geometry
from bev_perception.model.lift_config import LIFTS, LiftSettings
from bev_perception.perception import Pipeline, Preparation, seen_cells
from bev_perception.perception.calibration import Calibration
from bev_perception.training.augmentation import mirrored
from bev_perception.training.views import View, with_views

SIZE = (160, 240)
CANON = tuple(VirtualCamera(yaw, 5.0, 0.0, 90.0) for yaw in (0.0, 90.0, 180.0, -90.0))
PIXELS = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), axis=-1)
LENS = ("plumb_bob", (-0.2, 0.04, 0.001, -0.0005))


def turned(yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, at=(1.9, 0.2, 1.6)) -> RigidTransform:
    angles = np.radians((roll_deg, pitch_deg, yaw_deg))
    return RigidTransform.from_euler(*angles, at) @ BODY_T_OPTICAL


def wide(size=(448, 672), degrees=110.0, lens=LENS) -> PinholeCamera:
    ideal = PinholeCamera.from_field_of_view(size[1], size[0], degrees)
    return PinholeCamera(size[1], size[0], ideal.matrix, *lens)


def prepared_image(preparation: Preparation, name: str, image: np.ndarray) -> np.ndarray:
    frame_set = FrameSet(0, {name: CameraFrame(name, 0, image)})
    images = preparation.prepare(frame_set).images
    return images[list(preparation.rig.names).index(name)]


def test_a_turned_distorted_camera_of_the_town_shows_what_the_canonical_one_does():
    from bev_perception.simulation import Simulator

    real = RigCamera(wide(), turned(7.0, 9.0, 4.0))
    ideal = PinholeCamera.from_field_of_view(2 * SIZE[1], 2 * SIZE[0], 90.0)
    rig = Rig({"real": real, "canonical": RigCamera(ideal, turned(0.0, 5.0))})
    with Simulator(11000, rig) as simulator:
        frames = next(iter(simulator.run(1))).frame_set.frames
    preparation = Preparation(Rig({"real": real}), SIZE, CANON)
    found = prepared_image(preparation, "real", frames["real"].image)
    seen = found.any(axis=2)
    # Twice the size and averaged in fours, as the renderer draws no finer than a pixel.
    expected = frames["canonical"].image.reshape(SIZE[0], 2, SIZE[1], 2, 3).mean(axis=(1, 3))
    differences = np.abs(found - expected)[seen]
    assert seen.mean() > 0.9
    assert differences.mean() < 4.0
    assert np.median(differences) <= 2.0
    shifted = np.abs(np.roll(found, 1, axis=1) - expected)[seen]
    assert shifted.mean() > 1.4 * differences.mean()  # so a pixel's shift would be noticed


@pytest.mark.parametrize("size", [(448, 672), (900, 1600), (120, 180)])
@pytest.mark.parametrize("lens", [("none", ()), LENS, ("equidistant", (-0.02, 0.004, 0.0, 0.0))])
def test_a_bright_point_lands_where_the_virtual_camera_projects_it(size, lens):
    entry = RigCamera(wide(size, lens=lens), turned(84.0, -3.0, 5.0))
    preparation = Preparation(Rig({"left": entry}), SIZE, CANON)
    virtual = preparation.rig["left"]
    assert not virtual.camera.is_distorted
    np.testing.assert_allclose(virtual.base_T_camera.matrix, turned(90.0, 5.0).matrix, atol=1e-12)
    rows, columns = np.indices(size)
    for point in ((2.5, 12.0, 1.0), (-3.0, 10.0, 0.3), (5.0, 9.0, 2.5)):
        (u, v), _ = entry.project(np.array(point))
        width = 1.2 * max(1.0, size[1] / SIZE[1])
        dot = 250.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * width**2))
        image = np.repeat(np.round(dot)[..., None], 3, axis=2).astype(np.uint8)
        weights = prepared_image(preparation, "left", image)[..., 0].astype(float)
        at = np.array([(weights * axis).sum() for axis in np.indices(SIZE)[::-1]]) / weights.sum()
        np.testing.assert_allclose(at, virtual.project(np.array(point))[0], atol=0.2)


def test_pixels_that_the_camera_did_not_see_repeat_its_edge_and_their_cells_are_unknown():
    narrow = RigCamera(wide(degrees=60.0, lens=("none", ())), turned(20.0, 5.0))
    rig, grid = Rig({"front": narrow}), BevGrid.centered(20.0, 0.5)
    preparation = Preparation(rig, SIZE, CANON)
    ramp = np.repeat(np.linspace(40, 220, 672).astype(np.uint8)[None], 448, axis=0)
    found = prepared_image(preparation, "front", np.repeat(ramp[..., None], 3, axis=2))
    rays = preparation.rig["front"].camera.unproject(PIXELS)
    across = narrow.base_T_camera.inverse() @ preparation.rig["front"].base_T_camera
    pixels, valid = narrow.camera.project(across.rotate(rays))
    seen = valid & narrow.camera.contains(pixels)
    rows, columns = np.nonzero(seen)
    for row, column in ((0, 0), (80, 3), (159, 239), (2, 120), *zip(rows[::97], columns[::97])):
        nearest = np.argmin((rows - row) ** 2 + (columns - column) ** 2)
        edge = pixels[rows[nearest], columns[nearest], 0]
        assert found[row, column, 1] == pytest.approx(40 + edge / 671 * 180, abs=4.0)
    assert 0.2 < seen.mean() < 0.8
    config = SegnetConfig("light", SIZE, (0.0,), grid, virtual_cameras=CANON)
    table = Calibration(rig, config).table((True,), RigidTransform.identity())
    real = seen_cells(rig, grid, (0.0,), (True,))
    canonical = seen_cells(Rig({"front": whole(preparation.rig["front"])}), grid, (0.0,), (True,))
    np.testing.assert_array_equal(~table.unknown, real & canonical)
    assert 0 < (real & canonical).sum() < canonical.sum()


def whole(entry: RigCamera) -> RigCamera:
    """The camera as if all of its image had been seen."""
    return replace(entry, camera=replace(entry.camera, window=None))


def patchwork(entry: RigCamera, config: SegnetConfig) -> np.ndarray:
    """(rows, columns) of feature cells whose centres a camera's image shows."""
    stride = config.feature_stride
    rows, columns = config.feature_shape
    centers = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    return entry.camera.contains((centers + 0.5) * stride - 0.5)


@pytest.mark.parametrize("lift", LIFTS)
def test_pixels_that_no_camera_saw_are_no_evidence_for_any_lift(lift):
    """Features of cells that no real camera saw change nothing that is lifted."""
    rig = Rig(
        {
            "front": RigCamera(wide(degrees=60.0), turned(20.0, 5.0)),
            "left": RigCamera(wide(degrees=70.0), turned(80.0, 15.0, 4.0)),
        }
    )
    settings = LiftSettings(heads=2, depth_m=(1.0, 25.0), depth_bins=12)
    config = SegnetConfig(
        "light",
        SIZE,
        (0.0, 1.0),
        BevGrid.centered(20.0, 0.5),
        8,
        (8, 8, 8),
        (8, 8, 8),
        virtual_cameras=CANON,
        lift=lift,
        lift_settings=settings,
    )
    torch.manual_seed(0)
    model = Segnet(config).eval()
    preparation = Preparation(rig, SIZE, CANON)
    taps = build_lift_geometry(preparation.rig, model.config)
    shown = np.stack([patchwork(entry, config) for entry in preparation.rig.cameras.values()])
    around = np.pad(shown, ((0, 0), (2, 2), (2, 2)))
    reach = [np.roll(around, (y, x), (1, 2)) for y in range(-2, 3) for x in range(-2, 3)]
    near = np.any(reach, axis=0)[:, 2:-2, 2:-2]  # a tap or an offset reaches over the edge
    assert 0.1 < (~near).mean() < 0.9
    features = torch.randn(1, 2, config.latent_dim, *config.feature_shape)
    other = torch.where(torch.from_numpy(near)[None, :, None], features, 100.0)
    with torch.no_grad():
        if lift == "depth":  # its head looks at whole images, so what it places is compared
            cells = taps.points.numpy() // settings.depth_bins
            assert len(cells) > 1000
            assert shown.ravel()[cells].all()
            return
        expected, found = model.lift(features, taps), model.lift(other, taps)
        seen = torch.from_numpy(taps.seen)
        torch.testing.assert_close(found[..., seen], expected[..., seen])
        everything = Rig({name: whole(entry) for name, entry in preparation.rig.cameras.items()})
        kept = build_lift_geometry(everything, config)
        assert not torch.allclose(model.lift(other, kept), model.lift(features, kept))


@pytest.mark.parametrize("change", ["mirrored", "viewed", "stored"])
def test_a_window_stays_where_the_image_shows_something(change):
    """White in the window, black around it: so is the changed image about the changed window."""
    entry = RigCamera(wide(degrees=60.0), turned(20.0, 8.0, 5.0))
    preparation = Preparation(Rig({"front": entry}), SIZE, CANON)
    image = np.where(preparation.rig["front"].camera.contains(PIXELS)[..., None], 255, 0)
    image = np.repeat(image, 3, axis=2).astype(np.uint8)
    sample = Sample(image[None], np.ones(1, dtype=bool), preparation.rig, ())
    if change == "mirrored":
        sample = mirrored(sample)
    elif change == "viewed":
        view = View(RigidTransform.from_euler(0.1, -0.05, 0.08), 0.8, (0.1, -0.1))
        sample = with_views(sample, (view,))
    else:
        stored = json.loads(json.dumps(rig_to_dict(sample.rig)))
        assert rig_from_dict(stored) == sample.rig
        sample = replace(sample, rig=rig_from_dict(stored))
    shown = sample.rig["front"].camera.contains(PIXELS)
    white, black = sample.images[0, ..., 0] > 250, sample.images[0, ..., 0] < 5
    assert (shown & white).sum() > 0.9 * shown.sum() > 1000
    assert not (white & ~shown).sum() > 0.02 * shown.sum()
    assert (black & ~shown).sum() > 0.9 * (~shown).sum() > 1000


def test_training_and_a_run_see_the_same_turned_images(tmp_path):
    """What a prepared bag holds is what the pipeline gives its engine, mountings included."""
    config = SegnetConfig(
        "light",
        (32, 48),
        (0.0,),
        BevGrid.centered(8.0, 1.0),
        8,
        (8, 8, 8),
        (8, 8, 8),
        virtual_cameras=CANON,
    )
    engine = TorchEngine(Segnet(config).eval())
    rig = Rig({"a": RigCamera(wide(), turned(10.0)), "b": RigCamera(wide(), turned(170.0, 8.0))})
    random = np.random.default_rng(0)
    frames = {
        name: CameraFrame(name, 0, random.integers(0, 256, (448, 672, 3), dtype=np.uint8))
        for name in rig.names
    }
    calls = []
    infer = engine.infer
    engine.infer = lambda images, *rest: (calls.append(images.copy()), infer(images, *rest))[1]
    Pipeline(engine, rig).process(FrameSet(0, frames))
    preparation = Preparation(rig, config.image_size, config.virtual_cameras)
    sample = Sample(preparation.prepare(FrameSet(0, frames)).images, np.ones(2), rig, ())
    np.testing.assert_array_equal(calls[0], sample.images)
    leaning = rig.moved(RigidTransform.from_euler(pitch=0.1))
    mounted = preparation.mounted(leaning)
    for name in rig.names:
        np.testing.assert_allclose(
            mounted[name].base_T_camera.matrix,
            preparation.rig.moved(RigidTransform.from_euler(pitch=0.1))[name].base_T_camera.matrix,
            atol=1e-12,
        )


def test_the_canonical_rig_is_kept_with_the_weights_and_what_cannot_be_is_refused():
    config = SegnetConfig(
        "light",
        (32, 48),
        (0.0,),
        BevGrid.centered(8.0, 1.0),
        8,
        (8, 8, 8),
        (8, 8, 8),
        virtual_cameras=CANON,
    )
    assert SegnetConfig.from_dict(config.to_dict()) == config
    model = Segnet(config)
    with pytest.raises(EngineError, match="resize graph is not for this network"):
        TorchEngine(model, resize="graph")
    with pytest.raises(EngineError, match="export it without --raw-images"):
        ModelSource(model, (448, 672))
    upwards = Rig({"sky": RigCamera(wide(), turned(0.0, -89.0))})
    with pytest.raises(CalibrationError, match=r"camera sky sees .* % of the virtual camera"):
        Preparation(upwards, SIZE, CANON)
    with pytest.raises(ConfigurationError, match="horizontal_fov_deg"):
        replace(CANON[0], horizontal_fov_deg=180.0)
