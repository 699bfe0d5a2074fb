# SPDX-License-Identifier: Apache-2.0
"""Files are whole or absent, and other programs read them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.visualization import VideoWriter, video, write_image


def picture(level: int) -> np.ndarray:
    image = np.full((48, 64, 3), level, np.uint8)
    image[:, :32, 0] = 250
    return image


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_keep_their_colours(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", picture(20))
    read = cv2.imread(str(tmp_path / f"a{suffix}"))[..., ::-1]
    assert read[24, 10] == pytest.approx([250, 20, 20], abs=8)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_other_kinds_of_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'.bmp'"):
        write_image(tmp_path / "a.bmp", picture(20))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoder", [entry[0] for entry in video._ENCODERS])
def test_videos_play_back(tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")
    chosen = tuple(entry for entry in video._ENCODERS if entry[0] == encoder)
    monkeypatch.setattr(video, "_ENCODERS", chosen)
    with VideoWriter(tmp_path / "drive", rate_hz=5.0) as writer:
        for index in range(7):
            writer.write(picture(30 * index))
    with av.open(str(writer.path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == pytest.approx(5.0)
    assert len(frames) == 7
    assert frames[6][24, 50] == pytest.approx([180, 180, 180], abs=20)
    assert frames[0][24, 10, 0] > 150
    assert [path for path in tmp_path.iterdir()] == [writer.path]


def test_an_error_leaves_no_video(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "drive") as writer:  # noqa: PT012
        writer.write(picture(0))
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())


def test_no_picture_no_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "drive"):
        pass
    assert not list(tmp_path.iterdir())


def test_without_any_encoder_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(SystemLibraryError, match=r"libx264.*install"):
        video.video_encoder()
