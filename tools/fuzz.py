# SPDX-License-Identifier: Apache-2.0
"""A fuzzing campaign: spoils files of every kind and reads them under limits.

    python tools/fuzz.py --count 2000                      # of every target
    python tools/fuzz.py mcap weights --count 500 --seed 7

A finding is an exception that is no BevError, a message of thousands of characters, a read that
takes longer than --timeout or more memory than --memory, a process that dies, or a file written
outside of the output folder. Its case stays in OUT/findings; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS), str(TOOLS.parent)]


def main() -> int:
    """Runs the campaign; 1 when something was found."""
    from fuzzing.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"default all: {', '.join(TARGETS)}")
    parser.add_argument("--count", type=int, default=200, help="cases of every target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one case")
    parser.add_argument("--memory", type=int, default=1500, help="megabytes for one case")
    parser.add_argument("--out", type=Path, default=None, help="default a temporary folder")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.targets) - set(TARGETS))
    if unknown:
        parser.error(f"unknown targets {', '.join(unknown)}; known: {', '.join(TARGETS)}")
    root = arguments.out or Path(tempfile.mkdtemp(prefix="bev_fuzz_"))
    root.mkdir(parents=True, exist_ok=True)
    findings = 0
    print(f"{'target':16} {'cases':>6} {'accepted':>9} {'refused':>8} {'findings':>9}")
    for name in arguments.targets or TARGETS:
        outcomes = campaign(name, root, arguments)
        counts = Counter(outcome["kind"] for outcome in outcomes)
        found = [entry for entry in outcomes if entry["kind"] not in ("accepted", "refused")]
        print(f"{name:16} {len(outcomes):6} {counts['accepted']:9} {counts['refused']:8} "
              f"{len(found):9}", flush=True)  # fmt: skip
        for text in sorted({_summary(entry) for entry in found}):
            print(f"    {text}", flush=True)
        findings += len(found)
    print(f"{findings} findings in {root}")
    return 1 if findings else 0


def campaign(name: str, root: Path, arguments: argparse.Namespace) -> list[dict[str, str]]:
    """Outcomes of one target; a process that dies is followed by another."""
    log = root / f"{name}.jsonl"
    log.unlink(missing_ok=True)
    next_case, prefix = 0, str(arguments.seed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2]),
                   "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    while next_case < arguments.count:
        command = [sys.executable, "-m", "fuzzing.sandbox", name, str(next_case),
                   str(arguments.count - next_case), prefix, str(root), str(log),
                   str(arguments.timeout), str(arguments.memory)]  # fmt: skip
        try:
            limit_s = 120 + arguments.count * arguments.timeout
            done = subprocess.run(command, env=environment, cwd=root, timeout=limit_s, check=False)
            kind = f"died with code {done.returncode}"
        except subprocess.TimeoutExpired:
            kind = "hang"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if lines and "begun" in lines[-1]:
            seed = f"{prefix}-{lines[-1]['begun']}"
            entry = {"target": name, "seed": seed, "kind": kind, "detail": ""}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            next_case = lines[-1]["begun"] + 1
        elif "died with code 0" not in kind:
            raise SystemExit(f"{name}: the sandbox did not begin: {kind}")
        else:
            next_case = arguments.count
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if "kind" in line]


def _summary(entry: dict[str, str]) -> str:
    """Kind and the last place in the package, the same for the same defect."""
    lines = [line.strip() for line in entry["detail"].splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File") and "bev_perception" in line]
    last = lines[-1][:120] if lines else ""
    place = places[-1].split("bev_perception/")[-1] if places else ""
    return f"{entry['kind']}: {place} {last}"[:220]


if __name__ == "__main__":
    sys.exit(main())
