# SPDX-License-Identifier: Apache-2.0
"""Where the viewer's data go: a whole file, a window, browsers, or an error that helps."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rerun", reason="the extra 'view' is not installed")


from bev_perception.errors import CalibrationError, ConfigurationError, SystemLibraryError
from bev_perception.visualization.rerun_blueprint import view_blueprint
from bev_perception.visualization.rerun_sink import SinkSettings, open_sink


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "view.rrd"
    blueprint = view_blueprint((), live=False, with_reports=False)
    with pytest.raises(CalibrationError), open_sink(SinkSettings("file", path), blueprint):
        raise CalibrationError("in the middle")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), open_sink(SinkSettings("file", path), blueprint):
        raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == ["view.rrd"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as server:
        server.bind(("", 0))
        return int(server.getsockname()[1])


def open_briefly(settings: SinkSettings) -> None:
    with open_sink(settings, view_blueprint((), live=True, with_reports=True)):
        pytest.fail("it opened")


def test_no_display_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SystemLibraryError, match=r"no display.*--serve.*--save"):
        open_briefly(SinkSettings("window"))


def test_a_viewer_that_does_not_answer_is_named(free_port: int) -> None:
    url = f"rerun+http://127.0.0.1:{free_port}/proxy"
    with pytest.raises(SystemLibraryError, match=f"127.0.0.1:{free_port}.*start one there"):
        open_briefly(SinkSettings("remote", url=url))


@pytest.mark.parametrize("url", ["http://robot:9876/proxy", "rerun+http://robot:9876", "robot"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected rerun\\+http://HOST:9876/proxy"):
        open_briefly(SinkSettings("remote", url=url))


def test_a_port_in_use_is_named(taken_port: int, free_port: int) -> None:
    with pytest.raises(SystemLibraryError, match=f"port {taken_port}.*--web-port"):
        open_briefly(SinkSettings("web", port=free_port, web_port=taken_port))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_briefly(SinkSettings("file", tmp_path / "nowhere" / "view.rrd"))


def test_browsers_get_the_page_and_its_data(free_port: int) -> None:
    import urllib.request

    with socket.socket() as server:
        server.bind(("", 0))
        web_port = server.getsockname()[1]
    settings = SinkSettings("web", port=free_port, web_port=web_port)
    with open_sink(settings, view_blueprint((), live=True, with_reports=True)) as sink:
        sink.flush()
        assert sink.page.endswith(f"url=rerun%2Bhttp%3A%2F%2Flocalhost%3A{free_port}%2Fproxy")
        with urllib.request.urlopen(sink.page, timeout=10) as answer:
            assert b"<html" in answer.read()
        socket.create_connection(("127.0.0.1", free_port), timeout=5).close()
