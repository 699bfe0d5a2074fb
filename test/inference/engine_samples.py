# SPDX-License-Identifier: Apache-2.0
"""A network and rigs so small that an engine takes milliseconds."""

from __future__ import annotations

import math

import pytest

from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.inference import why_unavailable
from bev_perception.model import SegnetConfig

CONFIG = SegnetConfig(
    encoder="light",
    image_size=(32, 48),
    heights_m=(0.0, 1.0),
    grid=BevGrid(-9.0, -10.5, 1.0, 18, 21),
    latent_dim=6,
    decoder_widths=(8, 12, 16),
    light_widths=(8, 12, 16),
)

GRAPHS = [
    pytest.param(
        "openvino", marks=pytest.mark.skipif(bool(why_unavailable("openvino")), reason="")
    ),
    pytest.param("onnx", marks=pytest.mark.skipif(bool(why_unavailable("onnx")), reason="")),
]
CPU = {"device": "cpu", "precision": "fp32"}
"""What every engine of these tests runs on."""


TENSORRT_OPERATORS = frozenset(
    [
        "Add",
        "AveragePool",
        "Cast",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "Div",
        "Erf",
        "Gather",
        "Min",
        "Gemm",
        "Identity",
        "Softmax",
        "ReduceSum",
        "Max",
        "Floor",
        "InstanceNormalization",
        "MatMul",
        "MaxPool",
        "Mul",
        "Relu",
        "Reshape",
        "Resize",
        "Round",
        "Shape",
        "Slice",
        "Split",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Those of the graph that TensorRT's parser and OpenVINO take in fp32, fp16 and bf16."""


def rig_of(count: int, field_of_view_deg: float = 100.0) -> Rig:
    """Cameras that look outwards."""
    camera = PinholeCamera.from_field_of_view(48, 32, field_of_view_deg)
    return Rig(
        {
            f"camera{index}": RigCamera(
                camera,
                RigidTransform.from_euler(0.0, 0.1, 2 * math.pi * index / count, (0.0, 0.0, 1.6))
                @ BODY_T_OPTICAL,
            )
            for index in range(count)
        }
    )
