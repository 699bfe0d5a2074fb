# SPDX-License-Identifier: Apache-2.0
"""Images that the network's graph resizes are those that Preparation makes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from bev_perception.errors import CalibrationError, EngineError
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
from bev_perception.inference import TorchEngine, load_engine
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.inference.onnx_file import write_onnx
from bev_perception.model import Segnet, SegnetConfig, tiny_config
from bev_perception.model.image_resize import resized
from bev_perception.perception import Pipeline, Preparation
from bev_perception.perception.resize_matrices import linear_weights
from bev_perception.perception.scaler import LINEAR_REACH, interpolates

CONFIG = SegnetConfig(
    encoder="light",
    image_size=(64, 96),
    heights_m=(0.0, 1.0),
    grid=BevGrid.centered(8.0, 0.5),
    latent_dim=6,
    decoder_widths=(8, 12, 16),
    light_widths=(8, 12, 16),
)


def rig_of(*sizes: tuple[int, int]) -> Rig:
    """A camera of each (height, width), looking outwards."""
    turns = [2 * np.pi * index / len(sizes) for index in range(len(sizes))]
    return Rig(
        {
            f"camera{index}": RigCamera(
                PinholeCamera.from_field_of_view(width, height, 100.0),
                RigidTransform.from_euler(0.0, 0.1, turn, (0.0, 0.0, 1.6)) @ BODY_T_OPTICAL,
            )
            for index, ((height, width), turn) in enumerate(zip(sizes, turns))
        }
    )


def set_of(rig: Rig, seed: int = 0) -> FrameSet:
    """Noise in the first camera, smooth images in the others."""
    rng = np.random.default_rng(seed)
    frames = {}
    for index, name in enumerate(rig.names):
        camera = rig[name].camera
        image = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        frames[name] = CameraFrame(name, 0, image if not index else cv2.blur(image, (9, 9)))
    return FrameSet(0, frames, ())


@pytest.mark.parametrize(
    ("size", "largest"),
    [
        ((64, 96), 0),  # as it is
        ((144, 216), 0),  # 9 : 4 and the like: exact sums
        ((144, 256), 0),  # black rows above and below
        ((162, 216), 0),  # rows cut off
        ((193, 301), 1),  # OpenCV's own sums of fractions
        ((90, 135), 1),  # interpolated: OpenCV's shares are multiples of 1/2048
        ((40, 60), 1),  # grown
        ((128, 192), 1),  # half the size: OpenCV rounds halves upwards
    ],
)
def test_equals_preparation(size, largest):
    assert largest_difference(size, CONFIG.image_size) <= largest


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (1200, 1920)])
def test_images_of_usual_large_cameras_are_the_same_bit_by_bit(size):
    assert largest_difference(size, tiny_config().image_size) == 0


def largest_difference(size: tuple[int, int], target: tuple[int, int]) -> float:
    """In grey levels, of noise and of a smooth image."""
    rig = rig_of(size, size)
    preparation, frame_set = Preparation(rig, target), set_of(rig)
    planes = resized(torch.from_numpy(preparation.raw(frame_set).images), preparation.resize)
    found = planes.permute(0, 2, 3, 1).numpy()
    expected = preparation.prepare(frame_set).images.astype(np.float32)
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("target", [320, 336, 333, 479])
def test_where_images_are_interpolated_every_pixel_counts(target):
    source = int(LINEAR_REACH * target)
    assert interpolates(source, target)
    assert not interpolates(source + 1, target)
    counts = linear_weights(source, target).sum(axis=0) * source / target
    assert counts.min() > 0.74


def test_cameras_of_different_sizes_share_one_array():
    rig = rig_of((144, 216), (144, 256), (64, 96))
    preparation, frame_set = Preparation(rig, CONFIG.image_size), set_of(rig)
    raw = preparation.raw(frame_set)
    assert raw.images.shape == (3, 144, 256, 3)
    planes = resized(torch.from_numpy(raw.images), preparation.resize)
    expected = preparation.prepare(frame_set).images
    np.testing.assert_array_equal(planes.permute(0, 2, 3, 1).numpy(), expected)


def test_wrong_images_are_refused_raw_as_well():
    rig = rig_of((90, 135), (90, 135))
    preparation = Preparation(rig, CONFIG.image_size)
    with pytest.raises(CalibrationError, match="image is 96x64 but its CameraInfo says 135x90"):
        preparation.raw(set_of(rig_of((64, 96))))
    with pytest.raises(CalibrationError, match="images of cameras camera2"):
        preparation.raw(set_of(rig_of(*[(90, 135)] * 3)))


@pytest.fixture(scope="module")
def model() -> Segnet:
    torch.manual_seed(0)
    return Segnet(CONFIG).eval()


def outputs_of(engine, rig: Rig) -> list:
    """Of sets in which cameras come and go."""
    pipeline, whole = Pipeline(engine, rig), set_of(rig)
    fewer = replace(whole, frames={name: whole.frames[name] for name in rig.names[1:]})
    return [pipeline.process(one) for one in (whole, fewer, set_of(rig, seed=1))]


@pytest.mark.parametrize("camera_batch", [0, 2])
def test_the_pipeline_says_the_same_where_the_graph_resizes(model, camera_batch):
    rig = rig_of((144, 216), (144, 256), (144, 216))
    engine = TorchEngine(model, resize="graph", camera_batch=camera_batch)
    assert engine.takes_raw_images
    for found, expected in zip(outputs_of(engine, rig), outputs_of(TorchEngine(model), rig)):
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
        np.testing.assert_array_equal(found.unknown, expected.unknown)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_an_exported_graph_resizes(model, backend, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    rig, path = rig_of((144, 216), (144, 216)), tmp_path / "raw.onnx"
    source = ModelSource(model, raw_size=(144, 216))
    write_onnx(path, source.graph(source.layout_for(2), "fp32"))
    engine = load_engine(path, "cpu", "fp32", backend)
    engine.warm_up(2)
    for found, expected in zip(outputs_of(engine, rig), outputs_of(TorchEngine(model), rig)):
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
    with pytest.raises(EngineError, match=r"resizes images of \(144, 216\), .*\(64, 96\)"):
        outputs_of(engine, rig_of((64, 96), (64, 96)))


def test_matrices_of_another_model_are_refused(model):
    rig = rig_of((90, 135), (90, 135))
    preparation = Preparation(rig, (32, 48))
    pipeline = Pipeline(TorchEngine(model), rig)
    taps = pipeline.calibration.table((True, True), RigidTransform.identity()).taps
    raw = preparation.raw(set_of(rig)).images
    with pytest.raises(EngineError, match=r"images of \(32, 48\), .* this model takes \(64, 96\)"):
        TorchEngine(model).infer(raw, taps, preparation.resize)


def test_where_images_are_resized_can_be_chosen(model):
    assert not TorchEngine(model).takes_raw_images
    with pytest.raises(EngineError, match="unknown resize 'gpu', expected one of auto"):
        TorchEngine(model, resize="gpu")
