# SPDX-License-Identifier: Apache-2.0
"""The tree of frames over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytransform3d.transform_manager import TransformManager

from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.geometry.transform_tree import (
    DisconnectedFramesError,
    OutOfRangeError,
    UnknownFrameError,
)

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


def shift(x: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform.from_euler(yaw=yaw, translation=(x, 0.0, 0.0))


def driving_tree() -> TransformTree:
    """map -> base_link moves 10 m and a quarter turn in a second; the camera is fixed."""
    tree = TransformTree()
    tree.add("map", "base_link", EPOCH, shift(0.0))
    tree.add("map", "base_link", EPOCH + SECOND, shift(10.0, np.pi / 2))
    tree.add_static("base_link", "camera", shift(2.0))
    return tree


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data())
def test_lookup_between_any_two_frames_agrees_with_pytransform3d(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 8))
    tree, manager = TransformTree(), TransformManager()
    for child in range(1, count):
        parent = data.draw(st.integers(0, child - 1))
        roll, pitch, yaw, x, y, z = data.draw(st.tuples(*[st.floats(-1.5, 1.5)] * 6))
        edge = RigidTransform.from_euler(roll, pitch, yaw, (x, y, z))
        tree.add_static(f"f{parent}", f"f{child}", edge)
        manager.add_transform(f"f{child}", f"f{parent}", edge.matrix)
    target, source = data.draw(st.tuples(*[st.integers(0, count - 1)] * 2))
    found = tree.lookup(f"f{target}", f"f{source}", 0)
    expected = np.eye(4)
    if target != source:
        expected = manager.get_transform(f"f{source}", f"f{target}")
    np.testing.assert_allclose(found.matrix, expected, atol=1e-9)


def test_a_moving_edge_is_interpolated_with_nanosecond_stamps() -> None:
    found = driving_tree().lookup("map", "camera", EPOCH + SECOND // 4)
    expected = shift(2.5, np.pi / 8) @ shift(2.0)
    assert found.is_close(expected, metres=1e-9, radians=1e-9)


def test_samples_may_arrive_in_any_order_and_equal_stamps_replace() -> None:
    tree = TransformTree()
    for stamp, x in ((3, 30.0), (1, 99.0), (2, 20.0), (1, 10.0)):
        tree.add("map", "base_link", stamp * SECOND, shift(x))
    assert tree.lookup("map", "base_link", SECOND).translation[0] == 10.0
    assert tree.lookup("map", "base_link", 3 * SECOND // 2).translation[0] == pytest.approx(15.0)
    assert tree.edges() == [("map", "base_link", False, 3)]


def test_numbers_give_the_same_lookups_as_transforms_and_only_those_asked_for_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    whole, numbers = TransformTree(), TransformTree()
    for stamp in [*rng.permutation(200).tolist(), 7, 9]:
        turn = rng.normal(size=4)
        row = (*rng.normal(size=3).tolist(), *(turn / np.linalg.norm(turn)).tolist())
        pose = RigidTransform.from_quaternion(row[3:], row[:3])
        whole.add("map", "base_link", EPOCH + stamp * SECOND, pose)
        numbers.add_numbers("map", "base_link", EPOCH + stamp * SECOND, row)
    made = []
    make = RigidTransform.from_quaternion
    monkeypatch.setattr(RigidTransform, "from_quaternion", lambda *a: made.append(a) or make(*a))
    for seconds in (7.0, 9.0, 33.25, 33.5, 199.0):
        stamp = EPOCH + int(seconds * SECOND)
        assert numbers.lookup("map", "base_link", stamp) == whole.lookup("map", "base_link", stamp)
    assert len(made) == 5  # two for what lies between two, each once
    assert numbers.edges() == whole.edges() == [("map", "base_link", False, 200)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0.0,) * 7, "norm 0, expected 1"),
        ((np.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), "not finite"),
        ((0.0, 0.0, 0.0, np.nan, 0.0, 0.0, 1.0), "norm nan"),
    ],
)
def test_numbers_that_are_no_transform_are_refused_when_they_come(row: tuple, words: str) -> None:
    tree = TransformTree()
    with pytest.raises(TransformError, match=words):
        tree.add_numbers("map", "base_link", EPOCH, row)
    assert tree.edges() == []


@pytest.mark.parametrize(
    ("stamp_ns", "message"),
    [
        (EPOCH - 5_000_000, r"'map' -> 'base_link'.* 5\.000 ms before the first of its 2"),
        (EPOCH + SECOND + 1_000_000, r"1\.000 ms after the last of its 2"),
    ],
)
def test_a_time_out_of_range_is_refused_and_never_extrapolated(stamp_ns: int, message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        driving_tree().lookup("map", "camera", stamp_ns)


def test_static_chains_need_no_time() -> None:
    tree = driving_tree()
    assert tree.lookup("base_link", "camera", 0).is_close(shift(2.0))
    assert tree.lookup("camera", "camera", 0).is_close(RigidTransform.identity())


def test_an_unknown_frame_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UnknownFrameError, match=r"'base_lnik'.*did you mean 'base_link'.*camera"):
        driving_tree().lookup("base_lnik", "camera", 0)


def test_disconnected_trees_name_both_roots() -> None:
    tree = driving_tree()
    tree.add_static("lidar_mount", "lidar", shift())
    with pytest.raises(DisconnectedFramesError, match=r"root 'lidar_mount'.*root 'map'"):
        tree.lookup("camera", "lidar", EPOCH)


def test_a_loop_is_refused_and_leaves_the_tree_as_it_was() -> None:
    tree = driving_tree()
    with pytest.raises(TransformError, match="loop"):
        tree.add_static("camera", "map", shift())
    assert tree.lookup("map", "camera", EPOCH).is_close(shift(2.0))
    with pytest.raises(TransformError, match="two different frames"):
        tree.add_static("map", "/map", shift())


def test_a_child_that_moves_to_another_parent_leaves_the_old_one() -> None:
    tree = driving_tree()
    tree.add_static("map", "pole", shift(7.0))
    tree.add_static("pole", "camera", shift(1.0))
    assert tree.lookup("map", "camera", 0).is_close(shift(8.0))


def test_leading_slashes_do_not_matter() -> None:
    assert driving_tree().lookup("/base_link", "/camera", 0).is_close(shift(2.0))


def test_history_forgets_what_is_older_than_asked() -> None:
    tree = TransformTree(history_s=1.0)
    for tenth in range(31):
        tree.add("map", "base_link", EPOCH + tenth * SECOND // 10, shift(tenth))
    assert tree.edges() == [("map", "base_link", False, 11)]
    with pytest.raises(OutOfRangeError):
        tree.lookup("map", "base_link", EPOCH + SECOND)


def test_an_odd_stamp_far_ahead_costs_no_history_once_it_is_taken_back() -> None:
    tree = TransformTree(history_s=1.0)
    for tenth in range(11):
        tree.add("map", "base_link", EPOCH + tenth * SECOND // 10, shift(tenth))
    tree.add("map", "base_link", EPOCH + 3600 * SECOND, shift(99.0))
    tree.clear_after("/base_link", EPOCH + SECOND)
    assert tree.edges() == [("map", "base_link", False, 11)]
    for second in (3600, 3601):
        tree.add("map", "base_link", EPOCH + second * SECOND, shift(99.0))
    assert tree.edges() == [("map", "base_link", False, 2)]
    tree.clear_after("base_link", EPOCH)
    assert (tree.edges(), tree.ancestors("base_link")) == ([], ("base_link",))


def test_clearing_after_a_jump_of_the_clock_keeps_static_edges() -> None:
    tree = driving_tree()
    tree.clear_moving()
    assert tree.lookup("base_link", "camera", 0).is_close(shift(2.0))
    with pytest.raises(DisconnectedFramesError):
        tree.lookup("map", "camera", EPOCH)


def test_the_newest_time_of_a_lookup_is_that_of_its_slowest_edge() -> None:
    tree = driving_tree()
    assert tree.latest_ns("base_link", "camera") is None
    assert tree.latest_ns("map", "camera") == EPOCH + SECOND
    tree.add("earth", "map", EPOCH + SECOND // 2, shift(1.0))
    assert tree.latest_ns("earth", "camera") == EPOCH + SECOND // 2
    assert tree.latest_ns("camera", "earth") == EPOCH + SECOND // 2
    with pytest.raises(UnknownFrameError):
        tree.latest_ns("map", "nowhere")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_what_is_known_up_to_a_time_takes_each_late_edge_at_its_own_newest(
    data: st.DataObject,
) -> None:
    """From any frame of a branching tree to any other, whatever edges are late."""
    count = data.draw(st.integers(2, 6))
    tree, newest, parents = TransformTree(), {}, {}
    for child in range(1, count):
        parents[child] = data.draw(st.integers(0, child - 1))
        newest[child] = data.draw(st.integers(2, 9))
        for stamp in (1, newest[child]):
            edge = shift(*data.draw(st.tuples(*[st.floats(-1.5, 1.5)] * 2)))
            tree.add(f"f{parents[child]}", f"f{child}", stamp, edge)

    def root_T(frame: int, stamp: int) -> RigidTransform:
        pose = RigidTransform.identity()
        while frame:
            parent, known = parents[frame], min(stamp, newest[frame])
            pose, frame = tree.lookup(f"f{parent}", f"f{frame}", known) @ pose, parent
        return pose

    target, source = data.draw(st.permutations(range(count)))[:2]
    stamp = data.draw(st.integers(1, 10))
    found = tree.lookup_newest(f"f{target}", f"f{source}", stamp)
    expected = root_T(target, stamp).inverse() @ root_T(source, stamp)
    assert found.is_close(expected, metres=1e-9, radians=1e-9)
    latest = tree.latest_ns(f"f{target}", f"f{source}")
    if latest is None or stamp <= latest:
        exact = tree.lookup(f"f{target}", f"f{source}", stamp)
        np.testing.assert_array_equal(found.matrix, exact.matrix)
    with pytest.raises(OutOfRangeError, match="before the first"):
        tree.lookup_newest(f"f{target}", f"f{source}", 0)


def test_the_path_leads_over_the_common_frame_and_its_period_is_that_of_its_slowest_edge() -> None:
    tree = driving_tree()
    tree.add("earth", "map", EPOCH, shift(1.0))
    tree.add_static("map", "pole", shift(7.0))
    assert tree.path("pole", "camera") == ("camera", "base_link", "map", "pole")
    assert tree.path("earth", "base_link") == ("base_link", "map", "earth")
    assert tree.path("camera", "/camera") == ("camera",)
    assert tree.period_ns("pole", "camera") == SECOND
    assert tree.period_ns("base_link", "camera") == 0
    assert tree.period_ns("earth", "camera") == np.inf
