# SPDX-License-Identifier: Apache-2.0
"""The ``bev`` command.

Exit codes: 0 done, 1 errors found (bev doctor), 2 bad input, 130 ended by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bev_perception import __version__
from bev_perception.cli import (
    benchmark,
    calibrate,
    carla,
    demo,
    doctor,
    evaluate,
    export,
    extract,
    import_checkpoint,
    import_nuscenes,
    inspect,
    keystore,
    play,
    record,
    report,
    run,
    simulate,
    train,
    view,
)
from bev_perception.cli.logs import show_log
from bev_perception.cli.parser import build_parser
from bev_perception.errors import BevError

COMMANDS = tuple(
    module.COMMAND
    for module in (
        demo,
        simulate,
        carla,
        record,
        play,
        view,
        inspect,
        doctor,
        run,
        extract,
        train,
        evaluate,
        report,
        calibrate,
        export,
        benchmark,
        import_checkpoint,
        import_nuscenes,
        keystore,
    )
)

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

EXTRAS = {
    "carla": "carla",
    "moderngl": "sim",
    "lightning": "train",
    "tensorboard": "train",
    "torchmetrics": "train",
    "rerun": "view",
}
"""Which extra brings a module that a plain installation lacks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Threads that wait for each other sleep instead of spinning, unless the environment says
    otherwise: on a machine with other work, spinning made the network seven times slower.

    Args:
        argv: arguments without the program's name; default those of the process.

    Returns:
        The exit code. What the user can mend is one line on stderr; any other exception
        is a defect and passes through.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((entry for entry in COMMANDS if entry.name in arguments[:1]), None)
    name = "bev" if command is None else f"bev {command.name}"
    try:
        parser = build_parser(COMMANDS, __version__, command.name if command else None)
        namespace = parser.parse_args(arguments)
        if command is not None:
            show_log()
            with _termination_as_interrupt():
                command.run(namespace[command.name])
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BevError, OSError) as error:
        text = " ".join(_in_words(error).split())
        print(f"{name}: error: {text}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        print(
            f"{name}: error: {error.name} is not installed; "
            f"pip install 'bev_perception[{extra}]' brings it",
            file=sys.stderr,
        )
        return EXIT_BAD_INPUT
    return 0


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Lets SIGTERM end a command as Ctrl-C does, so that no child process is left behind.

    Commands that finish their work on signals set handlers of their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_words(error: BevError | OSError) -> str:
    """The message, without the operating system's numbers."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
