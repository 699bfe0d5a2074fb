# SPDX-License-Identifier: Apache-2.0
"""The official splits of nuScenes, by scene."""

from __future__ import annotations

MINI_VALIDATION = frozenset({103, 916})
"""Of v1.0-mini; its other eight scenes are for training."""

VALIDATION = frozenset(
    [3, *range(12, 19), 35, 36, 38, 39, *range(92, 111), 221, *range(268, 279), *range(329, 333),
     *range(344, 347), *range(519, 525), *range(552, 566), *range(625, 628), 629, 630,
     *range(632, 639), 770, 771, 775, 777, 778, *range(780, 785), *range(794, 801), 802,
     *range(904, 918), *range(919, 932), 962, 963, *range(966, 970), 971, 972,
     *range(1059, 1074)]
)  # fmt: skip
"""The 150 validation scenes of v1.0-trainval; its other 700 are for training."""


def official_split(version: str, scene: str) -> str:
    """``train``, ``validation`` or ``test`` of a scene such as ``scene-0061``.

    Args:
        version: name of the tables' folder; those that end in ``test`` hold test scenes only.
        scene: its name.
    """
    if version.endswith("test"):
        return "test"
    number = int(scene.rpartition("-")[2])
    validation = MINI_VALIDATION if version.endswith("mini") else VALIDATION
    return "validation" if number in validation else "train"
