# SPDX-License-Identifier: Apache-2.0
"""Property tests draw the same examples in every run, so that a red run can be repeated.

``HYPOTHESIS_PROFILE=random python -m pytest`` looks for new counterexamples.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # rerun_recording

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
