# SPDX-License-Identifier: Apache-2.0
"""A compiled pair of shaders whose inputs are set by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

TEXTURE_PLACES = {"shadow_map": 0, "surface": 1, "facades": 2, "noise": 3, "image": 4}
"""Texture unit of every sampler of the renderer."""


@dataclass(frozen=True)
class ShaderPair:
    """GLSL source of a vertex and a fragment shader."""

    vertex: str
    fragment: str


class Program:
    """A program with its samplers and uniform block bound to the renderer's places."""

    def __init__(self, gl: moderngl.Context, shaders: ShaderPair) -> None:
        self.gl_program = gl.program(vertex_shader=shaders.vertex, fragment_shader=shaders.fragment)
        for name, place in TEXTURE_PLACES.items():
            if name in self.gl_program:
                self.set(name, place)
        block = self.gl_program.get("Frame", None)
        if isinstance(block, moderngl.UniformBlock):
            block.binding = 0

    def __contains__(self, name: str) -> bool:
        return name in self.gl_program

    def set(self, name: str, value: Any) -> None:
        """Sets a number or vector."""
        uniform = self.gl_program[name]
        assert isinstance(uniform, moderngl.Uniform)
        uniform.value = value

    def set_matrix(self, name: str, matrix: NDArray[np.float64]) -> None:
        """Sets a (4, 4) matrix that multiplies column vectors."""
        uniform = self.gl_program[name]
        assert isinstance(uniform, moderngl.Uniform)
        # OpenGL stores single precision, column by column.
        uniform.write(np.ascontiguousarray(matrix.T, dtype=np.float32).tobytes())
