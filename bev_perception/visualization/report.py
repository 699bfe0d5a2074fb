# SPDX-License-Identifier: Apache-2.0
"""A report as one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from bev_perception.visualization.image_file import encode_image

_VIDEO_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}


@dataclass(frozen=True)
class KeyFigure:
    """One number that a reader looks for first, for example ("IoU within 25 m", "0.61")."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts under column names; the first column names the row.

    Cells of prose are sentences: wrapped, and aligned to the left.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    prose: bool = False


@dataclass(frozen=True)
class Picture:
    """An (H, W, 3) uint8 RGB picture, in words for those who cannot see it, and a caption."""

    image: NDArray[np.uint8]
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that a report shows, from top to bottom.

    Attributes:
        title, subtitle: heading.
        figures: the few numbers at the top.
        findings: sentences that ask for attention.
        pictures: embedded as JPEG.
        video: an .mp4 or .webm file, embedded; None for none.
        video_caption: what it shows.
        tables: metrics, timings, health.
        configuration: nested plain values that reproduce the run, shown as YAML.
        command: the command line that made it.
    """

    title: str
    subtitle: str = ""
    figures: Sequence[KeyFigure] = ()
    findings: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    video: Path | None = None
    video_caption: str = ""
    tables: Sequence[Table] = ()
    configuration: Mapping[str, object] = field(default_factory=dict)
    command: str = ""


def render_report(report: Report) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("bev_perception.visualization", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["jpeg"] = _jpeg_uri
    video_uri, video_type = "", ""
    if report.video is not None:
        video_type = _VIDEO_TYPES[report.video.suffix]
        video_uri = _data_uri(report.video.read_bytes(), video_type)
    configuration = (
        yaml.safe_dump(dict(report.configuration), sort_keys=False, allow_unicode=True)
        if report.configuration
        else ""
    )
    return environment.get_template("report.html").render(
        report=report,
        configuration=configuration,
        video_uri=video_uri,
        video_type=video_type,
    )


def write_report(path: Path, report: Report) -> None:
    """Writes the report to an .html file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(render_report(report), encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _jpeg_uri(image: NDArray[np.uint8]) -> str:
    return _data_uri(encode_image(image, ".jpg"), "image/jpeg")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
