# SPDX-License-Identifier: Apache-2.0
"""``bev carla check`` and ``bev carla import``: the first seed's samples, verified, as bags."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bev_perception.cli.parser import Arguments, Parser, add_output_arguments, require
from bev_perception.errors import BagError, ConfigurationError
from bev_perception.untrusted import parse_yaml

if TYPE_CHECKING:
    from bev_perception.samples import Declaration, Drive, Investigation


def add_check_arguments(parser: Parser) -> None:
    """Of ``bev carla check``."""
    _add_data_arguments(parser)
    add_output_arguments(parser)


def add_import_arguments(parser: Parser) -> None:
    """Of ``bev carla import``."""
    _add_data_arguments(parser)
    parser.add_argument(
        "--jpeg-quality", type=int, default=0, metavar="Q", help="1 to 100, or 0 for raw images"
    )
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of bag"
    )
    parser.add_argument(
        "--trust-declaration",
        action="store_true",
        help="import even what the checks contradict; the bags' run.json says so",
    )
    add_output_arguments(parser)


def run_check(arguments: Arguments) -> None:
    """Judges every drive, leaves tables and pictures, and refuses what is contradicted.

    Raises:
        ConfigurationError: the data contradict the declaration; the results are in place.
    """
    from bev_perception.cli.output_directory import result_directory, write_run_file
    from bev_perception.samples import DECLARATION_FILE

    drives = _drives(arguments)
    is_declared = (Path(arguments.data) / DECLARATION_FILE).exists()
    declaration = _declaration(arguments) if is_declared or arguments.declaration else None
    out = Path(arguments.out)
    inputs = [Path(arguments.data)]
    with result_directory(out, arguments.overwrite, "carla check", inputs) as folder:
        results = _check(drives, declaration, arguments, folder)
        write_run_file(folder, "carla check", {"arguments": _plain(arguments)})
    for text, _ in results.values():
        print(text)
    print(f"pictures: {out / '*.jpg'}\nreports:  {out / '*.html'}")
    _refuse_contradictions(results, out)


def run_import(arguments: Arguments) -> None:
    """Checks every drive, then writes one bag for each.

    Raises:
        ConfigurationError: the data contradict the declaration, and it is not to be trusted.
    """
    from tqdm import tqdm

    from bev_perception.cli.output_directory import result_directory, write_run_file
    from bev_perception.samples import write_bag

    require(
        0 <= arguments.jpeg_quality <= 100,
        f"--jpeg-quality must lie between 1 and 100, or be 0 for raw, got {arguments.jpeg_quality}",
    )
    drives = _drives(arguments)
    declaration = _declaration(arguments)
    out = Path(arguments.out)
    inputs = [Path(arguments.data)]
    with result_directory(out, arguments.overwrite, "carla import", inputs) as folder:
        results = _check(drives, declaration, arguments, folder)
        notes = {name: list(found.notes) for name, (_, found) in results.items()}
        contradictions = {name: found.contradictions for name, (_, found) in results.items()}
        if not arguments.trust_declaration:
            _refuse_contradictions(results, None)
        total = sum(len(drive.paths) for drive in drives)
        counts = {}
        with tqdm(total=total, desc="import", unit="sample", dynamic_ncols=True) as bar:
            for drive in drives:
                counts[drive.name] = write_bag(
                    drive, declaration, folder / drive.name, arguments.jpeg_quality or None,
                    arguments.storage, bar.update,
                )  # fmt: skip
        write_run_file(
            folder,
            "carla import",
            {
                "arguments": _plain(arguments),
                "declaration": declaration.to_dict(),
                "samples": counts,
                "contradictions": contradictions,
                "notes": notes,
            },
        )
    for name, texts in contradictions.items():
        for text in [*(f"contradicted: {each}" for each in texts), *notes[name]]:
            print(f"drive {name}: {text}")
    print(f"{sum(counts.values())} samples in {len(counts)} bags in {out}")
    print(f"pictures: {out / '*.jpg'}")


def _add_data_arguments(parser: Parser) -> None:
    parser.add_argument(
        "data", type=str, metavar="DATA", help="folder of drives, or of the samples of one drive"
    )
    parser.add_argument(
        "--declaration",
        type=str,
        default=None,
        metavar="FILE",
        help="conventions of the samples; default DATA/layout.yaml",
    )
    parser.add_argument(
        "--set",
        type=str,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="conventions that replace those of the file, for example camera_axes=carla",
    )
    parser.add_argument(
        "--moments", type=int, default=16, metavar="N", help="samples of a drive to look at"
    )
    parser.add_argument(
        "--pictures", type=int, default=2, metavar="N", help="samples of a drive to draw"
    )


def _drives(arguments: Arguments) -> list[Drive]:
    from bev_perception.samples import Drive, find_drives

    require(arguments.moments >= 1, f"--moments must be at least 1, got {arguments.moments}")
    require(arguments.pictures >= 0, f"--pictures must not be negative, got {arguments.pictures}")
    folder = Path(arguments.data)
    if not folder.exists():
        raise BagError(f"{folder} does not exist; expected a folder of samples")
    return [Drive(name, tuple(paths)) for name, paths in find_drives(folder).items()]


def _declaration(arguments: Arguments) -> Declaration:
    from bev_perception.samples import DECLARATION_FILE, load_declaration

    changes: dict[str, Any] = {}
    for entry in arguments["set"]:
        key, separator, value = str(entry).partition("=")
        require(bool(separator), f"--set {entry}: expected KEY=VALUE")
        changes[key.strip()] = _value(value, entry)
    path = Path(arguments.declaration or Path(arguments.data) / DECLARATION_FILE)
    return load_declaration(path, changes)


def _value(text: str, entry: object) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"--set {entry}: {error}") from error


def _check(
    drives: list[Drive], declaration: Declaration | None, arguments: Arguments, folder: Path
) -> dict[str, tuple[str, Investigation]]:
    """Text and findings by drive; leaves pictures and reports in the folder."""
    from bev_perception.cli.output_directory import write_json
    from bev_perception.cli.progress import progress
    from bev_perception.cli.sample_check import (
        check_report,
        check_text,
        draw_samples,
        investigation_values,
    )

    results = {}
    for drive in progress(drives, "check", unit="drive"):
        found = drive.investigate(declaration, arguments.moments)
        pictures = []
        if declaration is not None:
            stem = f"{drive.name}_as_declared"
            pictures += draw_samples(drive, declaration, arguments.pictures, folder, stem)
        if declaration is None or found.contradictions:
            stem = f"{drive.name}_as_it_fits"
            pictures += draw_samples(drive, found.proposal, arguments.pictures, folder, stem)
        title = f"Samples of {drive.name}"
        check_report(folder / f"{drive.name}.html", title, found, declaration, pictures)
        text = check_text(drive.name, found, declaration)
        (folder / f"{drive.name}.txt").write_text(text, encoding="utf-8")
        write_json(folder / f"{drive.name}.json", investigation_values(found))
        results[drive.name] = text, found
    return results


def _refuse_contradictions(results: dict[str, tuple[str, Investigation]], out: Path | None) -> None:
    for name, (_, found) in results.items():
        if found.contradictions:
            look = (
                f"see the pictures in {out}"
                if out is not None
                else "'bev carla check' draws both readings; --trust-declaration imports all the "
                "same"
            )
            others = sum(bool(each.contradictions) for _, each in results.values()) - 1
            more = f" ({others} more drives are contradicted too)" if others else ""
            raise ConfigurationError(
                f"drive {name}: {' | '.join(found.contradictions)}. {look}{more}"
            )


def _plain(arguments: Arguments) -> dict[str, Any]:
    values: dict[str, Any] = dict(arguments.as_dict())
    if values.get("declaration"):
        digest = hashlib.sha256(Path(values["declaration"]).read_bytes()).hexdigest()
        values["declaration_sha256"] = digest
    return values
