# SPDX-License-Identifier: Apache-2.0
"""Fuzzing that follows code coverage, by atheris, of the readers that are Python all through.

    pip install atheris
    python tools/fuzz_coverage.py rig_file -max_total_time=600

It pays where one more branch is one more byte away: YAML, JSON, headers of images. For all other
readers tools/fuzz.py finds more in the same time. Options behind the target are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS), str(TOOLS.parent)]

FILES = {
    "rig_file": "rig.yaml",
    "declaration": "layout.yaml",
    "parameters": "parameters.yaml",
    "engine_cache": "net.engine",
    "images": "a.png",
}
"""The file of each target that gets the bytes; the others stay as they are."""


def main() -> int:
    """Fuzzes until a defect is found, or libFuzzer's limits are reached."""
    try:
        import atheris
    except ImportError as error:
        print(f"this needs the package atheris ({error}); pip install atheris", file=sys.stderr)
        return 2
    if len(sys.argv) < 2 or sys.argv[1] not in FILES:
        print(f"name a target: {', '.join(FILES)}", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["bev_perception", "yaml"]):
        from fuzzing.targets import TARGETS

        from bev_perception.errors import BevError
    target, file = TARGETS[sys.argv[1]], FILES[sys.argv[1]]
    folder = Path(tempfile.mkdtemp(prefix="bev_fuzz_"))
    (folder / "out").mkdir()
    target.prepare(folder)
    corpus = Path(tempfile.mkdtemp(prefix="bev_corpus_"))
    (corpus / "valid").write_bytes((folder / file).read_bytes())

    def one(data: bytes) -> None:
        (folder / file).write_bytes(data)
        try:
            target.read(folder, folder / "out")
        except BevError:
            return

    atheris.Setup([sys.argv[0], str(corpus), "-timeout=20", "-rss_limit_mb=3000", *sys.argv[2:]],
                  one)  # fmt: skip
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
