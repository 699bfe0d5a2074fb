# SPDX-License-Identifier: Apache-2.0
"""Property tests draw the same examples in every run, so that a red run can be repeated.

``HYPOTHESIS_PROFILE=random python -m pytest`` looks for new counterexamples.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # ros_transport, tiny_network, ...

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell that starts the tests in the background has them, and so all that they start, ignore
# Ctrl-C, which is what some of them test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers share the machine's cores: threads of theirs would wait for each other, spinning.
# Before torch is imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Built engines of tests do not mix with the user's; processes that tests start inherit it.
_ENGINES = tempfile.mkdtemp(prefix="bev_engines_")
os.environ["BEV_PERCEPTION_CACHE"] = _ENGINES
atexit.register(shutil.rmtree, _ENGINES, ignore_errors=True)
