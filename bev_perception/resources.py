# SPDX-License-Identifier: Apache-2.0
"""Where the files that ship beside the code are, in a checkout, a wheel or a ROS workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bev_perception.errors import ConfigurationError

PACKAGE_ROOT = Path(__file__).resolve().parent

WEIGHTS_FOLDER = PACKAGE_ROOT / "model" / "weights"
"""Where shipped weights lie."""


def shipped_weight_names() -> tuple[str, ...]:
    """Names of the weights inside the package, in alphabetical order."""
    return tuple(sorted(file.stem for file in WEIGHTS_FOLDER.glob("*.safetensors")))


def config_path(relative: str) -> Path:
    """A file of ``config/``, for example ``rigs/default.yaml``.

    A checkout holds it beside the package; pip and colcon install it to
    share/bev_perception/config.

    Raises:
        ConfigurationError: no installation of this package holds it.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    candidates = [PACKAGE_ROOT.parent / "config" / relative]
    candidates += [
        Path(prefix) / "share" / "bev_perception" / "config" / relative
        for prefix in prefixes
        if prefix
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigurationError(
        f"{relative} is not among the installed configuration files; looked in "
        + ", ".join(str(candidate) for candidate in candidates)
    )
