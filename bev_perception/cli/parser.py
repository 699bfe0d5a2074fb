# SPDX-License-Identifier: Apache-2.0
"""The command line's grammar. Builds without importing anything heavy."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse
import yaml

from bev_perception.errors import ConfigurationError
from bev_perception.resources import shipped_weight_names
from bev_perception.untrusted import parse_yaml

Arguments = jsonargparse.Namespace

_UNKNOWN_OPTION = re.compile(r"unrecognized arguments: .*?(--[\w.-]+)")

_LACKING = re.compile(r"the following arguments are required: ([\w., -]+)")
_PARSER_KEY = re.compile(r'Parser key "([\w.]+)": ')
_EXPECTED = re.compile(r"Expected an? <class '(\w+)'>\. Got value: (\S+)")
_NOT_ACCEPTED = re.compile(r"Subcommand '\w+' does not accept option '([\w.-]+)'")


@dataclass(frozen=True)
class Command:
    """One subcommand of ``bev``.

    Attributes:
        name: as typed.
        summary: one line for ``bev --help``.
        description: what it does, reads and writes.
        examples: (what it is for, command line) pairs for its help.
        add_arguments: adds its options to a parser.
        run: does the work; imports what it needs itself, so that help stays quick.
        actions: what may follow its name, as in ``bev carla record``; the command's own run
            gets the options of the chosen one under that one's name.
    """

    name: str
    summary: str
    description: str
    examples: Sequence[tuple[str, str]]
    add_arguments: Callable[[Parser], None]
    run: Callable[[Arguments], None]
    actions: Sequence[Command] = ()

    @property
    def epilog(self) -> str:
        """The Examples section of the help."""
        lines = [f"  # {purpose}\n  {line}" for purpose, line in self.examples]
        return "Examples:\n" + "\n\n".join(lines)


class _HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Keeps the line breaks of descriptions and examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


class Parser(jsonargparse.ArgumentParser):
    """Complains in one line and exits with 2.

    Attributes:
        chosen: the command that the parser of all commands was built for, for messages.
        underscores: whether options are spelt with underscores, as train's are.
    """

    chosen: str | None = None
    underscores: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def parse_args(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Also complains of configuration files that are no text, or are made to do harm."""
        try:
            _check_configurations(sys.argv[1:] if args is None else list(args))
            return super().parse_args(args, *rest, **options)
        except (ValueError, RecursionError) as error:  # of text, paths and nesting in a file
            self.error(str(error)[:300] or type(error).__name__)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """One line on stderr, the way to the help included."""
        text = _in_our_words(" ".join(message.split()).rstrip("."), self.underscores)
        unknown = _UNKNOWN_OPTION.search(text)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            close = difflib.get_close_matches(unknown[1], options, n=1)
            text += f": did you mean {close[0]}?" if close else ""
        prog = f"{self.prog} {self.chosen}" if self.chosen else self.prog
        print(f"{prog}: error: {text}; see {prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _check_configurations(arguments: Sequence[object]) -> None:
    """Bounds what the YAML files of ``--config`` hold before jsonargparse follows their aliases.

    Raises:
        ValueError: one is no YAML that anybody writes.
    """
    texts = [str(argument) for argument in arguments]
    pairs = zip(texts, [*texts[1:], ""])
    named = [after for text, after in pairs if text == "--config"]
    named += [text.partition("=")[2] for text in texts if text.startswith("--config=")]
    for name in named:
        if not name or not Path(name).is_file():
            continue  # jsonargparse says so
        try:
            parse_yaml(Path(name).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeError) as error:
            raise ValueError(f"{name}: {' '.join(str(error).split())}") from error


def _in_our_words(text: str, underscores: bool) -> str:
    """The parser library's message in terms of what was typed."""
    between = "_" if underscores else "-"
    text = _LACKING.sub(lambda match: f"missing: {_as_typed(match[1])}", text)
    text = _PARSER_KEY.sub(lambda match: f"--{match[1].replace('_', between)}: ", text, count=1)
    text = _EXPECTED.sub(lambda match: f"expected {match[1]}, got {match[2]!r}", text)
    return _NOT_ACCEPTED.sub(lambda match: f"unknown option {match[1]!r}", text)


def _as_typed(keys: str) -> str:
    """``run.bag, run.out`` as ``BAG, --out``."""
    names = [key.strip().rpartition(".")[2] for key in keys.split(",")]
    positional = {"bag": "BAG", "bags": "BAG", "data": "DATA", "checkpoint": "FILE"}
    return ", ".join(positional.get(name, f"--{name}") for name in names)


def build_parser(commands: Sequence[Command], version: str, chosen: str | None) -> Parser:
    """The parser of ``bev`` with all subcommands.

    Args:
        commands: in the order of the help.
        version: of the package.
        chosen: name of the command whose options are needed; the others are only listed,
            because the options of some take seconds to import.
    """
    parser = Parser(
        prog="bev",
        description="Bird's-eye-view perception: several cameras in, an occupancy grid and "
        "object centres out.",
        epilog="Every command has its own help with examples: bev COMMAND --help",
        version=version,
    )
    subcommands = parser.add_subcommands(required=True, dest="command", metavar="COMMAND")
    for command in commands:
        child = Parser(
            prog=f"bev {command.name}",
            description=textwrap.fill(command.description, 88),
            epilog=command.epilog,
        )
        if command.name == chosen:
            command.add_arguments(child)
            child.underscores = any("_" in key for key in child._option_string_actions)
            parser.chosen = chosen
        subcommands.add_subcommand(command.name, child, help=command.summary)
        child.prog = f"bev {command.name}"
        if command.name == chosen and command.actions:
            _add_actions(child, command)
    return parser


def _add_actions(parser: Parser, command: Command) -> None:
    """The words that may follow a command's name, each with its own options."""
    subcommands = parser.add_subcommands(required=True, dest="action", metavar="ACTION")
    for action in command.actions:
        prog = f"bev {command.name} {action.name}"
        child = Parser(
            prog=prog, description=textwrap.fill(action.description, 88), epilog=action.epilog
        )
        action.add_arguments(child)
        subcommands.add_subcommand(action.name, child, help=action.summary)
        child.prog = prog


def add_output_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """``--out`` and ``--overwrite``."""
    parser.add_argument(
        "--out",
        type=str,
        metavar="DIR",
        required=default is None,
        default=default,
        help="folder for the results; it must not exist or be empty, see --overwrite",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace results that an earlier bev command left in --out",
    )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """``--weights``, ``--backend``, ``--device`` and ``--precision``."""
    parser.add_argument(
        "--weights",
        type=str,
        default="tiny",
        metavar="NAME|FILE",
        help=f"shipped weights ({', '.join(shipped_weight_names())}), a .safetensors file of bev "
        "train, or an .onnx file of bev export",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "tensorrt", "cuda", "openvino", "onnx", "cpu"),
        default="auto",
        help="what runs the network: tensorrt and cuda (PyTorch) on NVIDIA, openvino and cpu "
        "(PyTorch) on the processor, onnx (ONNX Runtime) on either; auto takes the quickest",
    )
    parser.add_argument(
        "--device",
        type=str,
        default="auto",
        help="auto (CUDA where there is one, else the CPU), cpu, cuda or cuda:N",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="arithmetic of the network; auto is the quickest of this device that costs no "
        "accuracy",
    )


def add_rig_argument(parser: argparse.ArgumentParser, purpose: str) -> None:
    """``--rig``."""
    parser.add_argument("--rig", type=str, default=None, metavar="FILE", help=purpose)


def node_name(text: str) -> str:
    """A perception node's full name, with the leading slash that topics have.

    Raises:
        ConfigurationError: it is empty.
    """
    require(bool(text.strip("/")), "--node is empty; name the perception node")
    return f"/{text.strip('/')}"


def require(condition: bool, message: str) -> None:
    """Refuses an argument's value.

    Raises:
        ConfigurationError: with the message, unless the condition holds.
    """
    if not condition:
        raise ConfigurationError(message)
