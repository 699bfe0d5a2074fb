# SPDX-License-Identifier: Apache-2.0
"""Bags of one file each become one bag of several files, as rosbag2 splits them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bev_perception.untrusted import parse_yaml

_ROOT = "rosbag2_bagfile_information"


def join_parts(parts: Sequence[Path], bag: Path) -> None:
    """Moves the parts' files into one folder and writes its metadata.yaml.

    Args:
        parts: folders of complete bags with one storage file each, in order of time.
        bag: folder to make.

    Raises:
        OSError: the file system refuses.
    """
    bag.mkdir()
    infos = []
    for part in parts:
        text = (part / "metadata.yaml").read_text(encoding="utf-8")
        infos.append(parse_yaml(text)[_ROOT])
        for name in infos[-1]["relative_file_paths"]:
            (part / name).rename(bag / name)
    text = yaml.safe_dump({_ROOT: _joined(infos)}, sort_keys=False, allow_unicode=True)
    (bag / "metadata.yaml").write_text(text, encoding="utf-8")


def _joined(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Metadata of the whole: counts summed, times from the first message to the last."""
    filled = [info for info in infos if info["message_count"]]
    starts = [info["starting_time"]["nanoseconds_since_epoch"] for info in filled]
    ends = [s + info["duration"]["nanoseconds"] for s, info in zip(starts, filled)]
    counts: dict[str, int] = {}
    topics: dict[str, Any] = {}
    for info in infos:
        for entry in info["topics_with_message_count"]:
            name = entry["topic_metadata"]["name"]
            topics.setdefault(name, entry["topic_metadata"])
            counts[name] = counts.get(name, 0) + entry["message_count"]
    return {
        **infos[0],
        "relative_file_paths": [name for info in infos for name in info["relative_file_paths"]],
        "duration": {"nanoseconds": max(ends, default=0) - min(starts, default=0)},
        "starting_time": {"nanoseconds_since_epoch": min(starts, default=0)},
        "message_count": sum(info["message_count"] for info in infos),
        "topics_with_message_count": [
            {"topic_metadata": topic, "message_count": counts[name]}
            for name, topic in topics.items()
        ],
        "files": [file for info in infos for file in info["files"]],
    }
