# SPDX-License-Identifier: Apache-2.0
"""The synchroniser on random streams: against brute force, and against message_filters."""

from __future__ import annotations

import itertools

import pytest
from frame_streams import MS, NAMES, as_arriving, contents, feed, frame, make_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import CameraFrame
from bev_perception.perception import Synchronizer


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
    elsewhere = "comes with ROS 2 and not with its wheels"
    message_filters = pytest.importorskip("message_filters", reason=f"message_filters {elsewhere}")
    header = pytest.importorskip("std_msgs.msg", reason="ROS 2 is not installed: make ros").Header

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
