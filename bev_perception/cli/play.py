# SPDX-License-Identifier: Apache-2.0
"""``bev play``: a bag on the topics of the running system."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser, require
from bev_perception.cli.teller import Teller
from bev_perception.errors import ConfigurationError

_tell = Teller("play")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bag", type=str, metavar="BAG", help="bag folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="recorded seconds per second")
    parser.add_argument("--loop", action="store_true", help="from the beginning again at the end")
    parser.add_argument(
        "--start",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds to leave out at the beginning",
    )
    parser.add_argument(
        "--duration", type=float, default=None, metavar="S", help="recorded seconds to play"
    )
    parser.add_argument(
        "--clock",
        type=float,
        default=0.0,
        metavar="HZ",
        help="publish /clock at this rate instead of what the bag has of it",
    )
    parser.add_argument(
        "--topics", nargs="+", type=str, default=[], metavar="TOPIC",
        help="topics to play, /tf_static beside them; default all",
    )  # fmt: skip
    parser.add_argument(
        "--exclude",
        type=str,
        default="",
        metavar="REGEX",
        help="leave out topics in whose name this is found",
    )
    parser.add_argument(
        "--remap", nargs="+", type=str, default=[], metavar="A:=B", help="other names for topics"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=5.0,
        metavar="S",
        help="longest time to wait for subscribers before the first message",
    )
    parser.add_argument(
        "--wait-for", nargs="+", type=str, default=[], metavar="TOPIC",
        help="topics that must have a subscriber; default those that listen already",
    )  # fmt: skip


def _run(arguments: Arguments) -> None:
    from bev_perception.ros.session import Session

    require(arguments.rate > 0, f"--rate must be positive, got {arguments.rate:g}")
    require(0 <= arguments.clock <= 1000, f"--clock must lie in 0..1000, got {arguments.clock:g}")
    require(arguments.start >= 0, f"--start must not be negative, got {arguments.start:g}")
    require(arguments.wait >= 0, f"--wait must not be negative, got {arguments.wait:g}")
    require(
        arguments.duration is None or arguments.duration > 0,
        f"--duration must be positive, got {arguments.duration}",
    )
    remap = _remappings(arguments.remap)
    with Session("bev_player") as session:
        from bev_perception.ros.player import Player
        from bev_perception.ros.player_settings import PlayerSettings

        settings = PlayerSettings(
            bag=Path(arguments.bag),
            rate=arguments.rate,
            loop=arguments.loop,
            start_s=arguments.start,
            duration_s=arguments.duration,
            clock_hz=arguments.clock,
            topics=tuple(arguments.topics),
            exclude=arguments.exclude,
            remap=remap,
            wait_s=arguments.wait,
            wait_for=tuple(arguments.wait_for),
        )
        with closing(Player(session.node, settings, _tell.warning)) as player:
            player.wait_for_subscribers(lambda: session.stopping)
            _tell(f"playing {len(player.topics)} topics of {settings.bag}; Ctrl-C ends it")
            begun = time.monotonic()
            state = player.run(lambda: session.stopping)
            elapsed_s = time.monotonic() - begun
    print(
        f"{state.messages} messages, {state.bytes / 1e6:.1f} MB in {elapsed_s:.1f} s, at most "
        f"{state.worst_s * 1e3:.0f} ms late"
    )


def _remappings(texts: Sequence[str]) -> dict[str, str]:
    """``/a:=/b`` as pairs.

    Raises:
        ConfigurationError: a text is not of that form.
    """
    pairs = {}
    for text in texts:
        name, separator, new = text.partition(":=")
        if not (name and separator and new):
            raise ConfigurationError(f"--remap {text!r}: write it as /recorded:=/published")
        pairs[name] = new
    return pairs


COMMAND = Command(
    name="play",
    summary="a bag on the topics of the running system",
    description="Publishes the messages of a bag as they were recorded, at the recorded pace, "
    "with the recorded quality of service. /tf_static comes first, at --start and at every loop "
    "too. Plays bags of bev and of ros2 bag alike.",
    examples=(
        ("as it was recorded", "bev play out/drive"),
        ("over and over, for nodes with use_sim_time", "bev play out/drive --loop --clock 100"),
        (
            "ten seconds of one camera, under another name",
            "bev play out/drive --start 5 --duration 10 --topics /camera/front/image_raw "
            "--remap /camera/front/image_raw:=/image",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
