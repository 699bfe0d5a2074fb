# SPDX-License-Identifier: Apache-2.0
"""What the synchroniser promises, on examples."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from frame_streams import MS, NAMES, contents, feed, frame

from bev_perception.errors import ConfigurationError
from bev_perception.perception import Synchronizer


def test_a_full_set_is_given_out_by_the_frame_that_completes_it():
    synchronizer = Synchronizer(NAMES)
    assert feed(synchronizer, [frame("rear", 3), frame("front", 0), frame("left", 5)]) == []
    (found,) = synchronizer.add(frame("right", 9))
    assert found.stamp_ns == 0
    assert found.missing == ()
    assert tuple(found.frames) == NAMES
    assert synchronizer.statistics.complete_sets == 1


def test_steady_cameras_are_served_without_waiting_at_any_rate():
    synchronizer = Synchronizer(NAMES)
    for index in range(40):
        frames = [frame(name, index * 50 + 4 * k) for k, name in enumerate(NAMES)]
        assert [len(synchronizer.add(each)) for each in frames] == [0, 0, 0, 1]


def test_a_set_without_a_camera_waits_for_the_timeout_and_names_it():
    synchronizer = Synchronizer(("front", "left"), timeout_ns=200 * MS)
    assert feed(synchronizer, [frame("front", ms) for ms in (0, 100, 200)]) == []
    (found,) = synchronizer.add(frame("front", 201))
    assert found.missing == ("left",)
    assert contents([found]) == [{"front": 0}]
    assert synchronizer.statistics.partial_sets == 1


def test_a_camera_that_shows_a_later_frame_is_not_waited_for():
    synchronizer = Synchronizer(("front", "left"))
    sets = feed(synchronizer, [frame("front", 0), frame("left", 100)])
    assert contents(sets) == [{"front": 0}]


def test_flush_gives_out_what_waits():
    synchronizer = Synchronizer(NAMES)
    feed(synchronizer, [frame("front", 0), frame("left", 1), frame("front", 100)])
    assert contents(synchronizer.flush()) == [{"front": 0, "left": 1}, {"front": 100}]
    assert synchronizer.flush() == []


def test_sets_of_too_few_cameras_are_dropped_and_counted():
    synchronizer = Synchronizer(("front", "left", "rear"), min_cameras=2)
    feed(synchronizer, [frame("front", 0), frame("front", 100), frame("left", 100)])
    assert contents(synchronizer.flush()) == [{"front": 100, "left": 100}]
    assert synchronizer.statistics.dropped["front"] == {"unmatched": 1}


def test_one_loss_does_not_shift_a_camera_for_ever():
    """Period equal to the tolerance: the next frame of the camera that lost one fits, too."""
    for order in (("front", "left"), ("left", "front")):
        frames = [
            frame(name, index * 50)
            for index in range(10)
            for name in order
            if (name, index) != ("left", 3)
        ]
        synchronizer = Synchronizer(("front", "left"), tolerance_ns=50 * MS)
        sets = feed(synchronizer, frames) + synchronizer.flush()
        expected = [{"front": index * 50, "left": index * 50} for index in range(10)]
        del expected[3]["left"]
        assert contents(sets) == expected


def test_rolling_cameras_with_a_wide_spread_stay_together():
    """Six cameras triggered one after the other over half a period, as on a spinning rig."""
    names = [f"camera_{index}" for index in range(6)]
    synchronizer = Synchronizer(names)
    sets = feed(
        synchronizer,
        [frame(name, index * 83 + 9 * k) for index in range(10) for k, name in enumerate(names)],
    )
    assert len(sets) == 10
    assert all(not found.missing for found in sets)


def test_a_frame_after_its_set_was_given_out_is_late():
    synchronizer = Synchronizer(("front", "left"), timeout_ns=100 * MS)
    assert len(feed(synchronizer, [frame("front", 0), frame("front", 101)])) == 1
    assert feed(synchronizer, [frame("left", 10)]) == []
    assert synchronizer.statistics.dropped["left"] == {"late": 1}
    assert contents(synchronizer.add(frame("left", 105))) == [{"front": 101, "left": 105}]


def test_anything_with_a_camera_and_a_stamp_is_synchronised():
    """For example messages that are decoded only when their set is given out."""

    @dataclass(frozen=True)
    class Message:
        camera: str
        stamp_ns: int
        data: bytes

    synchronizer: Synchronizer[Message] = Synchronizer(("front", "left"))
    synchronizer.add(Message("front", 5, b"f"))
    (found,) = synchronizer.add(Message("left", 7, b"l"))
    assert [message.data for message in found.frames.values()] == [b"f", b"l"]


def test_duplicates_and_frames_out_of_order_are_dropped_and_counted():
    synchronizer = Synchronizer(("front", "left"))
    feed(synchronizer, [frame("front", 100), frame("front", 100), frame("front", 50)])
    assert synchronizer.statistics.dropped["front"] == {"duplicate": 1, "out of order": 1}
    assert contents(synchronizer.add(frame("left", 100))) == [{"front": 100, "left": 100}]


def test_queues_are_bounded():
    """A camera whose clock runs an hour ahead keeps its newest frames alone."""
    synchronizer = Synchronizer(("front", "left", "rear"), max_queue=5)
    for index in range(8):
        synchronizer.add(frame("rear", 3_600_000 + index * 100))
        synchronizer.add(frame("front", index * 100))
        synchronizer.add(frame("left", index * 100))
    assert synchronizer.statistics.dropped["rear"] == {"overflow": 3}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"cameras": ()}, "cameras"),
        ({"cameras": ("front", "front")}, "cameras"),
        ({"tolerance_ns": -1}, "tolerance_ns"),
        ({"timeout_ns": 1, "tolerance_ns": 2}, "timeout_ns"),
        ({"min_cameras": 5}, "min_cameras"),
        ({"max_queue": 1}, "max_queue"),
    ],
)
def test_parameters_without_sense_are_refused(arguments, named):
    with pytest.raises(ConfigurationError, match=named):
        Synchronizer(**{"cameras": NAMES, **arguments})


def test_a_frame_of_an_unknown_camera_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"'roof'.*front, left, rear, right"):
        Synchronizer(NAMES).add(frame("roof", 0))


def test_statistics_read_as_a_sentence():
    synchronizer = Synchronizer(("front", "left"))
    feed(synchronizer, [frame("front", 0), frame("front", 0), frame("left", 0)])
    assert synchronizer.statistics.total_dropped == 1
    assert synchronizer.statistics.describe() == (
        "1 complete and 0 partial sets of 3 frames; dropped: duplicate 1; clock jumps: 0"
    )
