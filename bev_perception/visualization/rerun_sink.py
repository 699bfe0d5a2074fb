# SPDX-License-Identifier: Apache-2.0
"""Where a Rerun recording goes: a viewer's window, a file, a browser, or a viewer elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

import rerun as rr
import rerun.blueprint as rrb

from bev_perception.errors import ConfigurationError, SystemLibraryError

Kind = Literal["window", "file", "web", "remote"]

APPLICATION = "bev_perception"
VIEWER_MEMORY = "2GB"
"""That a viewer keeps of a live session, and a server for browsers that come late."""

_CONNECT_S = 5.0
_FLUSH_S = 10.0
_LAST_FLUSH_S = 60.0


class ViewerGoneError(SystemLibraryError):
    """The viewer was closed or has crashed."""


@dataclass(frozen=True)
class SinkSettings:
    """Where to.

    Attributes:
        kind: window (a viewer on this machine), file, web, or remote (a viewer that runs).
        path: of the file.
        url: of the remote viewer, ``rerun+http://HOST:9876/proxy``.
        port: of a window, or of the data for browsers.
        web_port: of the web page.
    """

    kind: Kind = "window"
    path: Path | None = None
    url: str = ""
    port: int = 9876
    web_port: int = 9090


class RerunSink:
    """A recording on its way.

    Attributes:
        recording: to log to.
        page: address for browsers, empty for other kinds.
    """

    def __init__(self, recording: rr.RecordingStream, page: str = "") -> None:
        self.recording = recording
        self.page = page

    def flush(self) -> None:
        """Waits until everything logged has left, so that nothing piles up.

        Raises:
            ViewerGoneError: nobody takes it any more.
        """
        try:
            self.recording.flush(timeout_sec=_FLUSH_S)
        except RuntimeError as error:
            why = " ".join(str(error).split())[:200]
            raise ViewerGoneError(
                f"the viewer was closed, or takes no more data ({why}); start bev view again"
            ) from error


@contextmanager
def open_sink(settings: SinkSettings, blueprint: rrb.Blueprint) -> Iterator[RerunSink]:
    """A new recording that goes where the settings say; complete when the context ends.

    A file stands beside its final name until then. Ctrl-C completes it, an error removes it.

    Raises:
        SystemLibraryError: no display, no viewer, or a port that is in use.
        ConfigurationError: an address that is none, or a path that cannot be written.
    """
    recording = rr.RecordingStream(APPLICATION, recording_id=uuid.uuid4())
    partial: Path | None = None
    if settings.path is not None:
        partial = settings.path.with_name(f".{settings.path.name}.{os.getpid()}.partial")
    finished = False
    try:
        yield RerunSink(recording, _open(recording, settings, blueprint, partial))
        finished = True
    except KeyboardInterrupt:
        finished = True
        raise
    finally:
        _close(recording)
        if partial is not None and settings.path is not None:
            if finished:
                os.replace(partial, settings.path)
            else:
                partial.unlink(missing_ok=True)


def _open(
    recording: rr.RecordingStream,
    settings: SinkSettings,
    blueprint: rrb.Blueprint,
    partial: Path | None,
) -> str:
    """Connects the recording; returns the address for browsers, if any."""
    if settings.kind == "file":
        if partial is None:
            raise ConfigurationError("a file needs a path")
        try:
            recording.save(partial, default_blueprint=blueprint)
        except RuntimeError as error:
            raise ConfigurationError(f"{settings.path}: cannot be written: {error}") from error
    elif settings.kind == "remote":
        _require_viewer_at(settings.url)
        recording.connect_grpc(settings.url, default_blueprint=blueprint)
    elif settings.kind == "web":
        return _serve(recording, settings, blueprint)
    else:
        _spawn(recording, settings.port, blueprint)
    return ""


def _close(recording: rr.RecordingStream) -> None:
    with suppress(RuntimeError):  # the viewer is gone: RerunSink.flush has told
        recording.flush(timeout_sec=_LAST_FLUSH_S)
    recording.disconnect()


def _spawn(recording: rr.RecordingStream, port: int, blueprint: rrb.Blueprint) -> None:
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise SystemLibraryError(
            "no display for the viewer's window (DISPLAY and WAYLAND_DISPLAY are not set); use "
            "--serve to look with a browser, --connect for a viewer on another machine, or "
            "--save FILE.rrd"
        )
    beside = str(Path(sys.executable).parent)
    executable = shutil.which("rerun", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    try:
        rr.spawn(
            port=port,
            memory_limit=VIEWER_MEMORY,
            hide_welcome_screen=True,
            executable_path=executable,
            default_blueprint=blueprint,
            recording=recording,
        )
        recording.flush(timeout_sec=_LAST_FLUSH_S)
    except RuntimeError as error:
        raise SystemLibraryError(
            f"the Rerun viewer did not start ({' '.join(str(error).split())[:200]}); use --serve "
            f"to look with a browser, or --save FILE.rrd"
        ) from error


def _serve(recording: rr.RecordingStream, settings: SinkSettings, blueprint: rrb.Blueprint) -> str:
    for option, port in (("--port", settings.port), ("--web-port", settings.web_port)):
        _require_free(option, port)
    recording.serve_grpc(
        grpc_port=settings.port,
        default_blueprint=blueprint,
        server_memory_limit=VIEWER_MEMORY,
        cors_allow_origin=[f"http://*:{settings.web_port}"],
    )
    rr.serve_web_viewer(web_port=settings.web_port, open_browser=False)
    source = quote(f"rerun+http://localhost:{settings.port}/proxy", safe="")
    return f"http://localhost:{settings.web_port}/?url={source}"


def _require_free(option: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise SystemLibraryError(
                f"port {port} cannot be served on ({error.strerror}); is another viewer running? "
                f"choose another with {option}"
            ) from error


def _require_viewer_at(url: str) -> None:
    parts = urlsplit(url)
    is_known = parts.scheme in ("rerun", "rerun+http", "rerun+https") and parts.path == "/proxy"
    if not is_known or not parts.hostname:
        raise ConfigurationError(
            f"{url!r} is no address of a Rerun viewer; expected rerun+http://HOST:9876/proxy"
        )
    port = parts.port or 9876
    try:
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise SystemLibraryError(
            f"no Rerun viewer answers at {parts.hostname}:{port} ({error.strerror or error}); "
            f"start one there with `rerun`"
        ) from error
