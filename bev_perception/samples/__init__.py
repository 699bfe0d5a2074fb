# SPDX-License-Identifier: Apache-2.0
"""The first seed's nuScenes-like samples (imgs, rots, trans, intrins, boxes), into bags.

Their conventions are declared beside them and verified against the data, because this is where
the project that this one descends from broke.
"""

from bev_perception.samples.declaration import (
    CHOICES,
    DECLARATION_FILE,
    Declaration,
    declaration_from_mapping,
    load_declaration,
    simple_bev_declaration,
)
from bev_perception.samples.drive import Drive, ImportedSample, write_bag
from bev_perception.samples.drive_files import find_drives
from bev_perception.samples.evidence import Check
from bev_perception.samples.findings import Finding, Reading
from bev_perception.samples.investigation import Investigation

__all__ = [
    "CHOICES",
    "DECLARATION_FILE",
    "Check",
    "Declaration",
    "Drive",
    "Finding",
    "ImportedSample",
    "Investigation",
    "Reading",
    "declaration_from_mapping",
    "find_drives",
    "load_declaration",
    "simple_bev_declaration",
    "write_bag",
]
