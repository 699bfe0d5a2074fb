# SPDX-License-Identifier: Apache-2.0
"""QUALITY_DECLARATION.md: each row has evidence that exists, and what it says of files holds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = ROOT / "QUALITY_DECLARATION.md"
SECTIONS = (
    "Version Policy",
    "Change Control Process",
    "Documentation",
    "Testing",
    "Dependencies",
    "Platform Support",
)
PROGRAMS = ("git", "python", ".venv/bin/ruff", "make")
NONE = "-"


def rows() -> list[list[str]]:
    """Requirement, state and evidence of every row."""
    lines = DECLARATION.read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in cells if row[0] not in ("requirement", "subject", "---")]


def tracked(pattern: str) -> list[Path]:
    """Files of the repository; all that lie here where there is no git."""
    command = ["git", "ls-files", "--", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_it_has_the_sections_of_rep_2004_in_their_order() -> None:
    headings = re.findall(r"^## (.+)$", DECLARATION.read_text(), re.MULTILINE)
    assert tuple(headings[: len(SECTIONS)]) == SECTIONS


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_has_evidence_that_exists_or_says_what_is_missing(row: list[str]) -> None:
    assert len(row) == 3, f"a row needs requirement, state and evidence: {row}"
    _, state, evidence = row
    if evidence == NONE:
        assert "**Missing" in state
        return
    named = re.findall(r"`([^`]+)`", evidence)
    assert named, f"no evidence: {evidence}"
    makefile = (ROOT / "Makefile").read_text()
    for name in named:
        program, *arguments = name.split()
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE), name
        elif program == "python":
            assert (ROOT / arguments[0]).is_file(), name
        elif program not in PROGRAMS:
            assert (ROOT / name).exists(), name


def test_every_source_file_begins_with_its_licence() -> None:
    without = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:200]
    ]
    assert without == []


def test_the_level_is_no_better_than_the_version() -> None:
    text = DECLARATION.read_text()
    level = int(re.search(r"\*\*Quality Level (\d)\*\*", text).group(1))  # type: ignore[union-attr]
    version = re.search(r"<version>(.+)</version>", (ROOT / "package.xml").read_text())
    assert version is not None
    if version.group(1).startswith("0."):
        assert level == 4, "levels 1 to 3 need a version of at least 1.0.0"
    assert version.group(1) in text


def test_the_readme_links_it() -> None:
    assert "QUALITY_DECLARATION.md" in (ROOT / "README.md").read_text()
