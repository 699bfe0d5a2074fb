# SPDX-License-Identifier: Apache-2.0
"""The report is one file that shows everything without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from bev_perception.visualization import (
    KeyFigure,
    Picture,
    Report,
    Table,
    VideoWriter,
    render_report,
    write_report,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def report(video: Path | None = None) -> Report:
    image = np.full((60, 120, 3), (20, 200, 40), np.uint8)
    return Report(
        title="Drive <b>1</b>",
        subtitle="four cameras",
        figures=[KeyFigure("IoU within 25 m", "0.61")],
        findings=["camera rear is dark"],
        pictures=[Picture(image, "a green field & a car", "set 3")],
        video=video,
        video_caption="the whole drive",
        tables=[Table("IoU", ["region", "IoU"], [["0-10 m", "0.77"]], "pooled")],
        configuration={"weights": "tiny", "grid": {"num_x": 128}},
        command="bev demo --out out",
    )


class Reader(HTMLParser):
    """Collects what a page loads and checks that every element is closed."""

    VOID = frozenset({"meta", "link", "img", "source", "br", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [values[key] or "" for key in ("src", "href") if key in values]
        if tag == "img":
            self.images.append(values)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def video(tmp_path: Path) -> Path:
    with VideoWriter(tmp_path / "drive") as writer:
        for level in range(4):
            writer.write(np.full((32, 64, 3), 40 * level, np.uint8))
    return writer.path


def test_everything_is_inside(video: Path) -> None:
    html = render_report(report(video))
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert len(reader.loaded) == 3
    assert all(source.startswith("data:") for source in reader.loaded)
    assert not re.search(r"@import|url\(", html)


def test_texts_are_escaped_and_pictures_described() -> None:
    html = render_report(report())
    assert "Drive &lt;b&gt;1&lt;/b&gt;" in html
    reader = Reader()
    reader.feed(html)
    assert reader.images[0]["alt"] == "a green field & a car"
    for text in ("0.77", "camera rear is dark", "num_x: 128", "bev demo --out out", "pooled"):
        assert text in html


def test_a_report_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path / "r.html", report(tmp_path / "absent.mp4"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_real_browser_shows_it(tmp_path: Path, video: Path) -> None:
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    write_report(page, report(video))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=420,1600",
        f"--screenshot={shot}", "--enable-logging=stderr", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert shot.is_file(), done.stderr
    assert "CONSOLE" not in done.stderr, "the page reports an error to the console"
    seen = cv2.imread(str(shot))[..., ::-1].astype(int)
    green = (np.abs(seen - (20, 200, 40)).max(axis=-1) < 30).sum()
    assert green > 10_000, "the embedded picture is visible"
