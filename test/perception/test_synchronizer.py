# SPDX-License-Identifier: Apache-2.0
"""What the synchroniser promises, on examples, on random streams and against brute force."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import CameraFrame
from bev_perception.perception import SynchronizedSet, Synchronizer

MS = 1_000_000
IMAGE = np.zeros((1, 1, 3), dtype=np.uint8)
NAMES = ("front", "left", "rear", "right")


def frame(camera: str, ms: float) -> CameraFrame:
    return CameraFrame(camera, round(ms * MS), IMAGE)


def feed(synchronizer: Synchronizer, frames: list[CameraFrame]) -> list[SynchronizedSet]:
    return [found for each in frames for found in synchronizer.add(each)]


def contents(sets: list[SynchronizedSet]) -> list[dict[str, float]]:
    """Per set: stamp in milliseconds by camera."""
    return [{name: entry.stamp_ns / MS for name, entry in each.frames.items()} for each in sets]


def make_stream(seed: int, tolerance_ms: int, loss: float, num_sets: int = 25) -> list[CameraFrame]:
    """Four cameras of one period >= 2 tolerances, each stamp off by less than tolerance / 2."""
    rng = random.Random(seed)
    period = rng.uniform(2.0, 4.0) * tolerance_ms
    limit = tolerance_ms / 2 - 1e-3
    return [
        frame(name, 1000 + index * period + rng.uniform(-limit, limit))
        for index in range(num_sets)
        for name in NAMES
        if rng.random() >= loss
    ]


def as_arriving(frames: list[CameraFrame], seed: int, max_delay_ms: float) -> list[CameraFrame]:
    """The order after a delay per frame; a camera's own frames keep their order."""
    rng = random.Random(seed)
    arrival: dict[str, float] = {}
    keyed = []
    for each in sorted(frames, key=lambda entry: entry.stamp_ns):
        at = each.stamp_ns / MS + rng.uniform(0, max_delay_ms)
        at = arrival[each.camera] = max(at, arrival.get(each.camera, 0.0) + 1e-6)
        keyed.append((at, each.camera, each))
    return [each for _, _, each in sorted(keyed, key=lambda entry: entry[:2])]


def brute_force(frames: list[CameraFrame], tolerance_ns: int) -> list[dict[str, float]]:
    """The rule, said another way: search everything that is left for every set."""
    left = sorted(frames, key=lambda entry: entry.stamp_ns)
    sets = []
    while left:
        anchor = left[0]
        chosen = {anchor.camera: anchor}
        for name in NAMES:
            near = [
                entry
                for entry in left
                if entry.camera == name and abs(entry.stamp_ns - anchor.stamp_ns) <= tolerance_ns
            ]
            if name != anchor.camera and near:
                chosen[name] = min(near, key=lambda entry: abs(entry.stamp_ns - anchor.stamp_ns))
        left = [entry for entry in left if all(entry is not used for used in chosen.values())]
        sets.append({name: chosen[name].stamp_ns / MS for name in NAMES if name in chosen})
    return sets


def first_after_a_long_gap(frames: list[CameraFrame], gap_ms: float) -> set[int]:
    """id of every frame whose camera had sent nothing for longer than gap_ms."""
    found = set()
    before = dict.fromkeys(NAMES, min((each.stamp_ns for each in frames), default=0))
    for each in sorted(frames, key=lambda entry: entry.stamp_ns):
        if each.stamp_ns - before[each.camera] > gap_ms * MS:
            found.add(id(each))
        before[each.camera] = each.stamp_ns
    return found


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


def silence(
    synchronizer: Synchronizer, first_ms: float, num_sets: int
) -> list[tuple[float, float]]:
    """(stamp of a set, stamp of the frame that brought it out), front and left sending at 10 Hz."""
    return [
        (found.stamp_ns / MS, ms)
        for ms in np.arange(num_sets) * 100 + first_ms
        for name in ("front", "left")
        for found in synchronizer.add(frame(name, ms))
    ]


@pytest.mark.parametrize("sent_before", [True, False])
def test_a_camera_that_fell_silent_does_not_delay_every_set(sent_before):
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    if sent_before:
        synchronizer.add(frame("rear", 0))
    given = silence(synchronizer, 100, 30)
    delays = [brought_ms - stamp_ms for stamp_ms, brought_ms in given if stamp_ms >= 100]
    assert synchronizer.silent_cameras == ("rear",)
    assert max(delays) == 300
    assert delays[-20:] == [0] * 20
    assert len(delays) == 30


def test_a_silent_camera_is_waited_for_again_from_its_first_frame():
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    silence(synchronizer, 0, 20)
    assert synchronizer.add(frame("rear", 1900)) == []
    assert synchronizer.statistics.dropped["rear"] == {"late": 1}
    assert synchronizer.silent_cameras == ()
    assert silence(synchronizer, 2000, 1) == []
    assert contents(synchronizer.add(frame("rear", 2000))) == [
        {"front": 2000, "left": 2000, "rear": 2000}
    ]


def test_a_camera_whose_clock_lags_delays_only_the_first_sets():
    """Its frames are refused, and what is refused is not worth waiting for."""
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    for index in range(20):
        synchronizer.add(frame("rear", index * 100))
        silence(synchronizer, 60_000 + index * 100, 1)
    assert synchronizer.silent_cameras == ("rear",)
    assert silence(synchronizer, 62_000, 1) == [(62_000, 62_000)]


def test_a_short_loss_is_waited_out():
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    synchronizer.add(frame("rear", 0))
    silence(synchronizer, 0, 6)
    assert synchronizer.silent_cameras == ()


def test_giving_up_goes_on_with_one_anchor_at_a_time():
    synchronizer = Synchronizer(("front", "left"), timeout_ns=1000 * MS)
    assert synchronizer.waiting_stamp_ns is None
    assert synchronizer.give_up() == []
    feed(synchronizer, [frame("front", 0), frame("front", 100)])
    assert synchronizer.waiting_stamp_ns == 0
    assert contents(synchronizer.give_up()) == [{"front": 0}]
    assert synchronizer.waiting_stamp_ns == 100 * MS
    assert contents(synchronizer.add(frame("left", 105))) == [{"front": 100, "left": 105}]
    assert synchronizer.waiting_stamp_ns is None


def test_a_camera_that_was_given_up_again_and_again_is_silent():
    """The caller's clock says so where no stamps come that could."""
    synchronizer = Synchronizer(("front", "left"), timeout_ns=200 * MS)
    for index in range(8):
        synchronizer.add(frame("front", index * 150))
        synchronizer.give_up()
    assert synchronizer.silent_cameras == ("left",)
    assert contents(synchronizer.add(frame("front", 1200))) == [{"front": 1200}]


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


def test_a_camera_whose_clock_runs_ahead_does_not_tear_the_others_apart():
    synchronizer = Synchronizer(("front", "left", "rear"))
    sets = []
    for index in range(50):
        sets += synchronizer.add(frame("rear", 3_600_000 + index * 100))
        sets += synchronizer.add(frame("front", index * 100))
        sets += synchronizer.add(frame("left", index * 100 + 3))
    assert contents(sets) == [
        {"front": index * 100, "left": index * 100 + 3} for index in range(50)
    ]


def test_a_camera_that_came_first_with_a_wrong_clock_does_not_lock_the_others_out():
    synchronizer = Synchronizer(("front", "left", "rear"))
    feed(synchronizer, [frame("rear", 3_600_000 + index * 100) for index in range(5)])
    sets = []
    for index in range(10):
        sets += feed(synchronizer, [frame("front", index * 100), frame("left", index * 100)])
        sets += synchronizer.add(frame("rear", 3_600_500 + index * 100))
    pairs = [found for found in contents(sets) if set(found) == {"front", "left"}]
    assert len(pairs) >= 8
    assert pairs[-1] == {"front": 900, "left": 900}


def test_a_camera_whose_clock_lags_loses_its_own_frames_only():
    synchronizer = Synchronizer(("front", "left", "rear"))
    sets = []
    for index in range(50):
        for name in ("front", "left"):
            sets += synchronizer.add(frame(name, 3_600_000 + index * 100))
        sets += synchronizer.add(frame("rear", index * 100))
    pairs = [found for found in sets if "front" in found.frames]
    assert all("left" in found.frames for found in pairs)
    assert len(pairs) >= 47


def test_the_last_camera_alive_is_served_in_the_end():
    synchronizer = Synchronizer(("front", "left", "rear"), max_queue=10)
    feed(synchronizer, [frame("left", 0)])
    sets = feed(synchronizer, [frame("front", 500 + index * 100) for index in range(100)])
    assert contents(sets)[0] == {"left": 0}
    assert len(sets) > 80


def test_a_clock_that_jumps_back_starts_anew():
    synchronizer = Synchronizer(("front", "left"))
    feed(synchronizer, [frame("front", 10_000), frame("left", 10_000), frame("front", 10_100)])
    sets = feed(synchronizer, [frame("front", 0), frame("left", 1), frame("left", 100)])
    assert contents(sets) == [{"front": 0, "left": 1}]
    assert synchronizer.statistics.clock_jumps == 1
    assert synchronizer.statistics.dropped["front"] == {"clock jump": 1}


def test_many_cameras_with_one_silent_cost_no_combinations():
    names = [f"camera_{index}" for index in range(12)]
    synchronizer = Synchronizer(names, timeout_ns=2_000 * MS)
    sets = feed(
        synchronizer,
        [frame(name, index * 100) for index in range(300) for name in names[:-1]],
    )
    sets += synchronizer.flush()
    assert len(sets) == 300
    assert {found.missing for found in sets} == {(names[-1],)}


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


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), tolerance_ms=st.integers(5, 60))
def test_without_loss_every_set_is_complete_and_none_is_lost(seed, tolerance_ms):
    frames = make_stream(seed, tolerance_ms, loss=0.0)
    synchronizer = Synchronizer(NAMES, tolerance_ms * MS, 20 * tolerance_ms * MS)
    sets = feed(synchronizer, as_arriving(frames, seed, 5 * tolerance_ms))
    sets += synchronizer.flush()
    assert len(sets) == 25
    assert all(not found.missing for found in sets)
    assert synchronizer.statistics.total_dropped == 0


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tolerance_ms=st.integers(5, 60),
    loss=st.floats(0.0, 0.8),
    delay=st.floats(0.0, 5.0),
)
def test_with_losses_it_equals_brute_force_in_whatever_order_cameras_arrive(
    seed, tolerance_ms, loss, delay
):
    """Nothing is lost but, perhaps, the frame with which a silent camera comes back."""
    timeout_ms = 10 * tolerance_ms
    frames = make_stream(seed, tolerance_ms, loss, num_sets=40)
    synchronizer = Synchronizer(NAMES, tolerance_ms * MS, timeout_ms * MS, max_queue=60)
    sets = feed(synchronizer, as_arriving(frames, seed + 1, delay * tolerance_ms))
    sets += synchronizer.flush()
    used = {id(entry) for found in sets for entry in found.frames.values()}
    assert {id(entry) for entry in frames} - used <= first_after_a_long_gap(frames, 2 * timeout_ms)
    taken = [entry for entry in frames if id(entry) in used]
    assert contents(sets) == brute_force(taken, tolerance_ms * MS)


@settings(max_examples=100, deadline=None)
@given(
    stamps=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 2000)), max_size=120),
    min_cameras=st.integers(1, 4),
)
def test_whatever_comes_no_frame_is_used_twice_nor_forgotten(stamps, min_cameras):
    frames = [frame(name, ms) for name, ms in stamps]
    synchronizer = Synchronizer(NAMES, 50 * MS, 200 * MS, min_cameras, max_queue=8)
    sets = feed(synchronizer, frames) + synchronizer.flush()
    used = [id(entry) for found in sets for entry in found.frames.values()]
    assert len(used) == len(set(used))
    assert len(used) + synchronizer.statistics.total_dropped == len(frames)
    assert sum(synchronizer.statistics.received.values()) == len(frames)
    for found in sets:
        stamps_ns = [entry.stamp_ns for entry in found.frames.values()]
        assert found.stamp_ns == min(stamps_ns)
        assert max(stamps_ns) - min(stamps_ns) <= 50 * MS
        assert min_cameras <= len(found.frames)
        assert set(found.frames) | set(found.missing) == set(NAMES)
    if synchronizer.statistics.clock_jumps == 0:
        anchors = [found.stamp_ns for found in sets]
        assert all(before <= after for before, after in itertools.pairwise(anchors))


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("max_delay_ms", [0.0, 60.0, 250.0])
def test_complete_sets_are_those_of_message_filters(loss, max_delay_ms):
    """It gives out complete sets only; they must be ours, and ours have the partial ones, too."""
    message_filters = pytest.importorskip("message_filters")
    header = pytest.importorskip("std_msgs.msg").Header

    class Message:
        def __init__(self, entry: CameraFrame) -> None:
            self.header = header()
            self.header.stamp.sec, self.header.stamp.nanosec = divmod(entry.stamp_ns, 10**9)
            self.stamp_ms = entry.stamp_ns / MS

    for seed in range(10):
        inputs = {name: message_filters.SimpleFilter() for name in NAMES}
        theirs: list[dict[str, float]] = []
        approximate = message_filters.ApproximateTimeSynchronizer(list(inputs.values()), 20, 0.05)
        approximate.registerCallback(
            lambda *messages, into=theirs: into.append(
                {name: message.stamp_ms for name, message in zip(NAMES, messages)}
            )
        )
        frames = as_arriving(make_stream(seed, 50, loss), seed, max_delay_ms)
        for each in frames:
            inputs[each.camera].signalMessage(Message(each))
        synchronizer = Synchronizer(NAMES, 50 * MS, 300 * MS)
        ours = feed(synchronizer, frames) + synchronizer.flush()
        complete = contents([found for found in ours if not found.missing])
        assert sorted(theirs, key=lambda found: found["front"]) == complete
        assert len(complete) > 0
        assert synchronizer.statistics.total_dropped == 0
