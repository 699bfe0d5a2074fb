# SPDX-License-Identifier: Apache-2.0
"""One OpenGL context without a window, on the GPU when there is one, else on llvmpipe."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import moderngl

from bev_perception.errors import SystemLibraryError

INSTALL_HINT = "install libegl1 libgl1 libgl1-mesa-dri"


class GlContext:
    """A standalone EGL context that belongs to the thread which created it.

    OpenGL calls from another thread silently do nothing, so use is checked.

    Raises:
        SystemLibraryError: EGL or its driver is not installed.
    """

    def __init__(self) -> None:
        try:
            options: dict[str, Any] = {"backend": "egl"}
            self._context: moderngl.Context | None = moderngl.create_context(
                standalone=True, require=400, **options
            )
        except Exception as error:  # moderngl raises bare Exception for a missing library
            raise SystemLibraryError(
                f"the simulator cannot open an OpenGL context through EGL ({error}): {INSTALL_HINT}"
            ) from error
        self._thread = threading.get_ident()

    @property
    def gl(self) -> moderngl.Context:
        """The moderngl context, made current: calls go to it and not to another renderer's.

        Raises:
            RuntimeError: called from a thread other than the creator, or after release.
        """
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "an OpenGL context works only in the thread that created it; "
                "create a Renderer of its own in this thread"
            )
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        self._context.__enter__()
        return self._context

    @property
    def renderer_name(self) -> str:
        """What draws, for example ``llvmpipe (LLVM 15.0.6, 256 bits)``."""
        return str(self.gl.info["GL_RENDERER"])

    def release(self) -> None:
        """Frees the context and everything made in it; again does nothing."""
        if self._context is not None:
            self.gl.release()
            self._context = None

    def __enter__(self) -> GlContext:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
