# SPDX-License-Identifier: Apache-2.0
"""Bags for tiny training runs, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # augmentation_samples, drawn_boxes
from drawn_boxes import write_bag


@pytest.fixture(scope="session")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    return write_bag(folder / "one", 3, 1), write_bag(folder / "two", 2, 2)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")
