# SPDX-License-Identifier: Apache-2.0
"""Nothing in the source reads a file in a way that could run what is in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bev_perception", "launch", "tools", "benchmarks")

FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load",
    "marshal.loads", "pandas.read_pickle", "torch.jit.load", "torch.package.PackageImporter",
    "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.full_load_all",
    "yaml.unsafe_load_all", "eval", "exec", "compile", "__import__", "os.system", "os.popen",
    "tarfile.TarFile.extractall", "shutil.unpack_archive",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "read_pickle"}
YAML_LOADERS = {"SafeLoader", "CSafeLoader", "_StrictLoader"}
UNBOUNDED = {"yaml.safe_load", "yaml.load", "json.loads", "json.load"}
"""Must be asked for through bev_perception.untrusted, which bounds nesting and aliases."""

MAY_BE_UNBOUNDED = {"bev_perception/untrusted.py"}


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def dotted(node: ast.expr) -> str:
    """``torch.load`` of the expression that is called; "" for what has no such name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}"  # of a value without a name: ".eval"
    return ""


def full_names(tree: ast.Module) -> dict[str, str]:
    """What local names stand for, by the imports: ``np`` for numpy, ``load`` for torch.load."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def calls(source: str) -> Iterator[tuple[int, str, dict[str, ast.expr], list[ast.expr]]]:
    """Line, full name, keyword and other arguments of every call."""
    tree = ast.parse(source)
    names = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            first, _, rest = name.partition(".")
            full = names.get(first, first) + (f".{rest}" if rest else "")
            keywords = {k.arg: k.value for k in node.keywords if k.arg}
            yield node.lineno, full, keywords, node.args


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def problems(source: str, path: str) -> list[str]:
    """What a file does that could run what it reads, or hang on it."""
    found = []
    is_package = path.startswith("bev_perception/")
    for line, name, keywords, arguments in calls(source):
        method = name.rpartition(".")[2]
        bad = name in FORBIDDEN or method in FORBIDDEN_METHODS
        if name == "torch.load":
            bad = not is_constant(keywords.get("weights_only"), True)
        elif name in ("numpy.load", "numpy.lib.npyio.NpzFile"):
            bad = not is_constant(keywords.get("allow_pickle"), False)
        elif name == "yaml.load":
            loader = keywords.get("Loader") or (arguments[1] if len(arguments) > 1 else None)
            bad = loader is None or dotted(loader).rpartition(".")[2] not in YAML_LOADERS
        if name in UNBOUNDED and is_package and path not in MAY_BE_UNBOUNDED:
            bad = True
        if bad:
            found.append(f"{path}:{line}: {name}")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads as read\nread(b)",
        "import torch\ntorch.load(p)",
        "import torch\ntorch.load(p, weights_only=False)",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import numpy as np\nnp.load(p)",
        "import yaml\nyaml.load(t, Loader=yaml.UnsafeLoader)",
        "import yaml\nyaml.load(t)",
        "import yaml\nyaml.safe_load(t)",
        "from json import loads\nloads(t)",
        "eval(t)",
        "archive.extractall(p)",
    ],
)
def test_the_rule_finds_what_it_is_for(line: str) -> None:
    assert problems(line, "bev_perception/some/file.py")


def test_no_source_file_reads_what_could_run_code() -> None:
    found = [
        problem
        for path in sources()
        for problem in problems(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]
    assert len(sources()) > 300
    assert found == []
