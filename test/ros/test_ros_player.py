# SPDX-License-Identifier: Apache-2.0
"""bev play: what is in the bag is published as it was, when it was."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from bev_perception.bags.raw_topic import RawTopic
from bev_perception.bags.typestore import TF, bag_typestore
from bev_perception.errors import BagError

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from played_bag import (
    DEEP,
    LATE_LISTENER,
    NOTICE,
    NUMBERS,
    SECOND,
    START_NS,
    STATIC,
    TEXTS,
    TOPICS,
    number,
    static,
    text,
    write_bag,
)
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from bev_perception.ros.playback_pace import PlaybackPace
from bev_perception.ros.player import Player
from bev_perception.ros.player_settings import PlayerSettings
from bev_perception.ros.static_transforms import StaticTransforms

BEST_EFFORT = "/numbers"
MAY_LOSE = 2
"""Messages of BEST_EFFORT that the middleware may lose on a machine whose cores are taken."""


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """One second: 20 numbers and texts, a late /tf_static, a notice at the beginning."""
    entries = [(NOTICE, 0.0, text("hello"))]
    for index in range(20):
        entries.append((NUMBERS, index * 0.05, number(index)))
        entries.append((TEXTS, index * 0.05, text(f"text {index}")))
    entries.append((STATIC, 0.5, static("camera")))
    return write_bag(tmp_path / "bag", entries)


@pytest.fixture
def player(client: Any) -> Iterator[Callable[..., Player]]:
    """player(bag, **settings): one that the test runs itself; it warns into .warnings."""
    made: list[Player] = []

    def make(bag: Path, **settings: Any) -> Player:
        warnings: list[str] = []
        made.append(Player(client.node, PlayerSettings(bag, **settings), warnings.append))
        made[-1].warnings = warnings  # type: ignore[attr-defined]
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def test_a_played_and_recorded_bag_has_the_same_messages(
    bag: Path, ros_process: Any, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    recorder = ros_process(
        "bev_perception.cli.main", "record", "--out", again, "--all", ready="recording to"
    )
    play = ros_process(
        "bev_perception.cli.main", "play", bag, "--wait", 60,
        "--wait-for", "/numbers", "/texts", "/notice", "/tf_static",
    )  # fmt: skip
    assert play.wait() == 0
    assert recorder.stop() == 0
    before, after = read(bag), read(again)
    for topic, entries in before.items():
        wanted = [sent + bytes(-len(sent) % 4) for _, sent in entries]  # DDS fills up to four bytes
        assert is_subsequence([got for _, got in after[topic]], wanted)
        may_lose = MAY_LOSE if topic == BEST_EFFORT else 0
        assert len(after[topic]) >= len(entries) - may_lose
    sent_ns, seen_ns = ([stamp for stamp, _ in entries["/texts"]] for entries in (before, after))
    offsets_ns = np.array(seen_ns) - np.array(sent_ns)
    delays = (offsets_ns - np.median(offsets_ns)) / SECOND  # the first ones may come late
    assert np.median(np.abs(delays)) < 0.2
    assert np.max(np.abs(delays)) < 1.0, "more than the scheduler's"
    assert qos(again) == qos(bag)


def is_subsequence(part: Sequence[bytes], whole: Sequence[bytes]) -> bool:
    """Whether part is whole in its order, some entries left out."""
    rest = iter(whole)
    return all(entry in rest for entry in part)


def read(bag: Path) -> dict[str, list[tuple[int, bytes]]]:
    """(time of recording, message) by topic."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    with AnyReader([bag]) as reader:
        for connection, stamp, data in reader.messages():
            found.setdefault(connection.topic, []).append((stamp, bytes(data)))
    return {name: entries for name, entries in found.items() if name in TOPICS}


def qos(bag: Path) -> dict[str, list[tuple[Any, Any]]]:
    """Reliability and durability by topic."""
    with AnyReader([bag]) as reader:
        return {
            c.topic: [(q.reliability, q.durability) for q in c.ext.offered_qos_profiles]
            for c in reader.connections
            if c.topic in TOPICS
        }


def test_static_transforms_come_first_and_late_ones_hold_from_the_beginning(
    bag: Path, client: Any, player: Callable[..., Player], wait_until: Callable[..., Any]
) -> None:
    order: list[str] = []
    for topic, kind, profile in (
        ("/tf_static", TFMessage, LATE_LISTENER),
        ("/texts", String, DEEP),
    ):
        client.node.create_subscription(
            kind, topic, lambda _, name=topic: order.append(name), profile
        )
    playing = player(bag, rate=5.0, wait_for=("/texts", "/tf_static"))
    assert playing.wait_for_subscribers()
    state = playing.run()
    assert state.messages == 42
    wait_until(lambda: order.count("/texts") == 20)
    assert order.count("/tf_static") == 1
    assert order.index("/tf_static") < 3


def test_late_listeners_get_what_is_latched(
    bag: Path, client: Any, player: Callable[..., Player]
) -> None:
    playing = player(bag, rate=20.0, start_s=0.5, wait_s=0.0)
    assert playing.run().messages > 0
    notices = client.collect("/notice", String, LATE_LISTENER)
    transforms = client.collect("/tf_static", TFMessage, LATE_LISTENER)
    assert notices.wait(1)[0].data == "hello"
    assert transforms.wait(1)[0].transforms[0].child_frame_id == "camera"


def test_a_loop_begins_anew_with_the_clock_set_back(
    bag: Path, client: Any, player: Callable[..., Player]
) -> None:
    from rosgraph_msgs.msg import Clock

    clock = client.collect("/clock", Clock, DEEP)
    texts = client.collect("/texts", String, DEEP)
    transforms = client.collect("/tf_static", TFMessage, LATE_LISTENER)
    playing = player(bag, rate=10.0, loop=True, clock_hz=200.0, wait_for=("/texts", "/tf_static"))
    assert playing.wait_for_subscribers()
    client.wait_matched(clock)

    def times() -> list[int]:
        told = [message.clock for message in list(clock.messages)]
        return [moment.sec * SECOND + moment.nanosec for moment in told]

    def jumps() -> int:
        return sum(after < before for before, after in itertools.pairwise(times()))

    playing.run(stopping=lambda: len(texts) > 40 and jumps() >= 2 and len(transforms) >= 3)
    assert [message.data for message in texts.messages][:40] == [f"text {i}" for i in range(20)] * 2
    assert jumps() <= playing.state.loops
    assert min(times()) == START_NS
    assert max(times()) < START_NS + 2 * SECOND
    assert len(transforms) <= 1 + playing.state.loops


def test_only_the_chosen_part_and_topics_are_played(
    bag: Path, client: Any, player: Callable[..., Player]
) -> None:
    words = client.collect("/words", String, DEEP)
    playing = player(
        bag,
        rate=5.0,
        topics=("texts",),
        exclude="static",
        remap={"/texts": "/words"},
        start_s=0.24,
        duration_s=0.3,
        wait_for=("/words",),
    )
    assert playing.topics == {"/texts": "/words"}
    assert playing.wait_for_subscribers()
    playing.run()
    assert [message.data for message in words.wait(6)] == [f"text {i}" for i in range(5, 11)]


def test_nothing_is_lost_for_a_listener_that_is_waited_for(
    bag: Path, client: Any, player: Callable[..., Player]
) -> None:
    playing = player(bag, rate=10.0, wait_for=("/texts",), wait_s=60.0)
    thread = threading.Thread(target=lambda: playing.wait_for_subscribers() and playing.run())
    thread.start()
    texts = client.collect("/texts", String, DEEP)
    assert [message.data for message in texts.wait(20)] == [f"text {i}" for i in range(20)]
    thread.join()
    assert playing.warnings == []  # type: ignore[attr-defined]


def test_topics_that_nobody_listens_to_are_named(bag: Path, player: Callable[..., Player]) -> None:
    playing = player(bag, wait_s=0.1, wait_for=("/texts",))
    assert not playing.wait_for_subscribers()
    assert "nobody has subscribed to /texts within 0.1 s" in playing.warnings[0]  # type: ignore[attr-defined]


def test_falling_behind_is_told(
    tmp_path: Path, player: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bev_perception.ros.player.LATE_S", 0.001)
    entries = [(TEXTS, index * 0.001, text("x" * 1000)) for index in range(500)]
    playing = player(write_bag(tmp_path / "bag", entries), rate=10_000.0, wait_s=0.0)
    assert playing.run().worst_s > 0.001
    assert "cannot keep pace" in playing.warnings[0]  # type: ignore[attr-defined]


def test_ctrl_c_ends_a_loop_cleanly(bag: Path, ros_process: Any) -> None:
    play = ros_process(
        "bev_perception.cli.main", "play", bag, "--loop", "--wait", "0", ready="playing 4 topics"
    )
    assert play.stop() == 0
    assert re.search(r"\d+ messages, .* ms late", play.log)
    assert "Traceback" not in play.log


def test_types_with_another_definition_are_not_played(
    tmp_path: Path, player: Callable[..., Player]
) -> None:
    old = RawTopic("/old", "std_msgs/msg/String", "int32 number\n", _digest("int32 number"))
    path = write_bag(tmp_path / "bag", [(TEXTS, 0.0, text("a"))])
    write_bag(tmp_path / "old", [(old, 0.0, bytes(8))])
    assert list(player(path).topics) == ["/texts"]
    with pytest.raises(BagError, match="none of its message types"):
        player(tmp_path / "old")


def _digest(definition: str) -> str:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, "std_msgs/msg/String"))
    return store.hash_rihs01("std_msgs/msg/String")


def test_what_cannot_be_played_is_told(bag: Path, player: Callable[..., Player]) -> None:
    with pytest.raises(BagError, match=r"has no topic /nowhere; it has /notice"):
        player(bag, topics=("/nowhere",))
    with pytest.raises(BagError, match="nothing is left after a start at 9 s"):
        player(bag, start_s=9.0)
    with pytest.raises(BagError, match="/nowhere is not among the topics played"):
        player(bag, wait_for=("/nowhere",)).wait_for_subscribers()


def test_pace_follows_the_recording_without_drift() -> None:
    pace = PlaybackPace(START_NS, START_NS + 10 * SECOND, rate=2.0, begun_s=100.0)
    assert pace.due_s(0, START_NS) == 100.0
    assert pace.due_s(0, START_NS + 4 * SECOND) == 102.0
    assert pace.due_s(3, START_NS + 4 * SECOND) == 117.0
    assert pace.clock_ns(3, 117.0) == START_NS + 4 * SECOND
    assert pace.clock_ns(0, 200.0) == START_NS + 10 * SECOND


def test_static_transforms_add_up() -> None:
    known = StaticTransforms()
    assert known.message() is None
    assert known.add(static("front"))
    assert known.message() == static("front")
    assert known.add(static("rear"))
    assert not known.add(static("front"))
    assert known.add(static("front", x=1.0))
    assert not known.add(static("front", x=5.0), only_new=True)
    message: Any = bag_typestore().deserialize_cdr(known.message() or b"", TF)
    found = {entry.child_frame_id: entry.transform.translation.x for entry in message.transforms}
    assert found == {"front": 1.0, "rear": 0.0}
    assert known.add(static("front", "rear", "left"))
    assert known.message() == static("front", "rear", "left")
    with pytest.raises(BagError, match="no tf2_msgs"):
        known.add(b"\x00\x01\x00\x00\xff\xff")
