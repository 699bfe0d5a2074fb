# SPDX-License-Identifier: Apache-2.0
"""Faults do what they say, to the cameras and at the times chosen, and to nothing else."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.headers import stamp_ns
from bev_perception.bags.images import image_problem, image_to_message
from bev_perception.errors import BagError, ConfigurationError
from bev_perception.faults import (
    FAULTS,
    Choice,
    Delivery,
    Injection,
    Injector,
    Kind,
    bag_range_ns,
    faulty_frames,
    inject_into_bag,
)
from bev_perception.faults.transform_faults import CONTRADICTION_M
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform, load_rig
from bev_perception.resources import config_path

SECOND = 1_000_000_000
TENTH = SECOND // 10
NUM_SETS = 10


@pytest.fixture(scope="module")
def rig() -> Rig:
    rig = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: rig[name].resized(48, 32) for name in ("front", "rear")})


def frame(camera: str, index: int) -> CameraFrame:
    random = np.random.default_rng([index, camera == "rear"])
    rough = random.integers(40, 200, (4, 6, 3), dtype=np.uint8)
    return CameraFrame(camera, SECOND + index * TENTH, rough.repeat(8, axis=0).repeat(8, axis=1))


def stream() -> list[CameraFrame]:
    return [frame(camera, index) for index in range(NUM_SETS) for camera in ("front", "rear")]


@pytest.fixture(params=[None, 95], ids=["raw", "jpeg"])
def bag(request: pytest.FixtureRequest, tmp_path: Path, rig: Rig) -> Path:
    path = tmp_path / "healthy"
    with BagWriter(path) as writer:
        for index in range(NUM_SETS):
            frames = {name: frame(name, index) for name in rig.names}
            pose = RigidTransform(np.eye(3), np.array([float(index), 0.0, 0.0]))
            moment = FrameSet(frames["front"].stamp_ns, frames, (), pose)
            writer.write_frame_set(moment, rig, request.param)
    return path


def spoiled(bag: Path, name: str, **choice: object) -> Path:
    target = bag.parent / name
    inject_into_bag(bag, target, [Injection(FAULTS[name], Choice(**choice))])  # type: ignore[arg-type]
    return target


def messages(bag: Path, topic: str) -> list[tuple[int, object]]:
    opened = BagFile(bag)
    wanted = [connection for connection in opened.connections if connection.topic == topic]
    return [(log_ns, opened.decode(entry, raw)) for entry, log_ns, raw in opened.messages(wanted)]


def contents(bag: Path) -> dict[str, list[tuple[int, bytes]]]:
    opened = BagFile(bag)
    found: dict[str, list[tuple[int, bytes]]] = {}
    for connection, log_ns, raw in opened.messages():
        found.setdefault(connection.topic, []).append((log_ns, raw))
    return found


def test_a_fault_hits_the_chosen_camera_at_the_chosen_time(bag: Path) -> None:
    first_ns, _ = bag_range_ns(bag)
    window = {"start_ns": first_ns + 2 * TENTH, "stop_ns": first_ns + 5 * TENTH}
    target = spoiled(bag, "black", cameras=("rear",), **window)
    before, after = contents(bag), contents(target)
    changed = {
        (topic, index)
        for topic, entries in before.items()
        for index, entry in enumerate(entries)
        if after[topic][index] != entry
    }
    topic = next(topic for topic in before if topic.startswith("/camera/rear/image"))
    assert changed == {(topic, 2), (topic, 3), (topic, 4)}
    with BagReader(target) as reader:
        levels = [entry.image.max() for entry in reader.camera_frames() if entry.camera == "rear"]
    assert [level < 10 for level in levels] == [2 <= index < 5 for index in range(NUM_SETS)]


def test_late_and_dead_and_frozen_cameras_in_a_bag(bag: Path) -> None:
    rear = next(topic for topic in contents(bag) if topic.startswith("/camera/rear/image"))
    late = messages(spoiled(bag, "late", cameras=("rear",)), rear)
    assert all(log_ns - stamp_ns(message.header) == SECOND for log_ns, message in late)  # type: ignore[attr-defined]
    assert rear not in contents(spoiled(bag, "dead", cameras=("rear",)))
    frozen = messages(spoiled(bag, "frozen", cameras=("rear",)), rear)
    assert len({bytes(message.data) for _, message in frozen}) == 1  # type: ignore[attr-defined]
    assert len({stamp_ns(message.header) for _, message in frozen}) == NUM_SETS  # type: ignore[attr-defined]


def test_transforms_in_a_bag(bag: Path) -> None:
    assert "/tf" not in contents(spoiled(bag, "tf_missing", frames=("base_link",)))
    doubled = messages(spoiled(bag, "tf_contradictory", frames=("base_link",)), "/tf")
    places = [message.transforms[0].transform.translation.x for _, message in doubled]  # type: ignore[attr-defined]
    assert sorted(places) == sorted([*range(NUM_SETS), *(i + CONTRADICTION_M for i in range(10))])
    broken = messages(spoiled(bag, "tf_nan", frames=("base_link",)), "/tf")
    assert all(np.isnan(message.transforms[0].transform.rotation.w) for _, message in broken)  # type: ignore[attr-defined]


def test_no_bag_is_left_behind_when_a_fault_does_not_fit(bag: Path) -> None:
    topic = next(topic for topic in contents(bag) if "image" in topic)
    if not topic.endswith("compressed"):
        pytest.skip("raw images have a stride")
    with pytest.raises(ConfigurationError, match="use raw images"):
        spoiled(bag, "wrong_stride")
    assert sorted(path.name for path in bag.parent.iterdir()) == ["healthy"]
    with pytest.raises(BagError, match="exists already"):
        inject_into_bag(bag, bag, [])


IMAGE_FAULTS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "black": lambda image, own: image.shape == own.shape and not image.any(),
    "white": lambda image, own: image.shape == own.shape and (image == 255).all(),
    "wrong_size": lambda image, own: np.array_equal(image, own[:16]),
    "huge": lambda image, own: image.shape == (864, 1296, 3),
    "upside_down": lambda image, own: np.array_equal(image, own[::-1, ::-1]),
    "mirrored": lambda image, own: np.array_equal(image, own[:, ::-1]),
    "noisy": lambda image, own: np.abs(np.corrcoef(image.flat, own.flat)[0, 1]) < 0.05,
}


@pytest.mark.parametrize("name", IMAGE_FAULTS)
def test_decoded_images(name: str) -> None:
    found = list(faulty_frames(stream(), [Injection(FAULTS[name], Choice(cameras=("rear",)))]))
    assert [(f.camera, f.stamp_ns) for f in found] == [(f.camera, f.stamp_ns) for f in stream()]
    for after, before in zip(found, stream()):
        if before.camera == "rear":
            assert IMAGE_FAULTS[name](after.image, before.image)
        else:
            assert np.array_equal(after.image, before.image)


@pytest.mark.parametrize(
    "name", ["truncated", "wrong_encoding", "wrong_stride", "claims_huge", "zero_sized"]
)
def test_unreadable_images_are_refused_and_never_decoded(name: str) -> None:
    injection = Injection(FAULTS[name], Choice(cameras=("rear",)))
    assert {found.camera for found in faulty_frames(stream(), [injection])} == {"front"}
    message = image_to_message(frame("rear", 0).image, SECOND, "rear_optical_frame")
    (after,) = Injector([injection]).feed(Delivery(Kind.IMAGE, "rear", SECOND, message))
    assert image_problem(after.message)
    assert not image_problem(message)


def test_stamps() -> None:
    def stamps(name: str) -> list[int]:
        frames = [frame("rear", index) for index in range(4)]
        found = faulty_frames(frames, [Injection(FAULTS[name])])
        return [round((entry.stamp_ns - SECOND) / TENTH * 100) for entry in found]

    assert stamps("stamps_future") == [10000, 10100, 10200, 10300]
    assert stamps("stamps_standing") == [0, 0, 0, 0]
    assert stamps("stamps_backward") == [0, -1, 200, 199]


def test_swapped_cameras_show_what_the_other_sees() -> None:
    injection = Injection(FAULTS["swapped"], Choice(cameras=("front", "rear")))
    found = {entry.stamp_ns: entry for entry in faulty_frames(stream(), [injection])
             if entry.camera == "rear"}  # fmt: skip
    own = [frame("front", index) for index in range(NUM_SETS)]
    assert len(found) == NUM_SETS
    assert all(np.array_equal(found[entry.stamp_ns].image, entry.image) for entry in own)
    with pytest.raises(ConfigurationError, match="two cameras"):
        Injector([Injection(FAULTS["swapped"])])


def test_faults_are_combined_in_their_order_and_repeat_with_their_seed() -> None:
    def noise(seed: int) -> list[bytes]:
        chain = [
            Injection(FAULTS["noisy"], Choice(seed=seed)),
            Injection(FAULTS["frozen"]),
            Injection(FAULTS["dead"], Choice(cameras=("front",))),
        ]
        return [entry.image.tobytes() for entry in faulty_frames(stream(), chain)]

    assert len(noise(1)) == NUM_SETS
    assert len(set(noise(1))) == 1
    assert noise(1) == noise(1) != noise(2)


def test_calibrations(rig: Rig) -> None:
    message = camera_to_message(rig["rear"].camera, SECOND, "rear_optical_frame")

    def focal_lengths(name: str) -> list[float]:
        injector = Injector([Injection(FAULTS[name])])
        fed = [injector.feed(Delivery(Kind.INFO, "rear", SECOND, message)) for _ in range(3)]
        return [float(entry[0].message.k[0] / rig["rear"].camera.fx) for entry in fed]

    assert np.isnan(focal_lengths("info_nan")).all()
    assert focal_lengths("info_zero") == [0.0, 0.0, 0.0]
    assert focal_lengths("info_changing") == pytest.approx([1.1, 1.0, 1.1])
    assert message.k[0] == rig["rear"].camera.fx


def test_messages_of_rclpy_are_changed_as_those_of_bags() -> None:
    image = pytest.importorskip("sensor_msgs.msg").Image
    own = frame("rear", 0).image
    message = image(height=32, width=48, step=144, encoding="rgb8")
    message.data = array.array("B", own.tobytes())
    message.header.stamp.sec = 7
    injections = [Injection(FAULTS["mirrored"]), Injection(FAULTS["stamps_future"])]
    (after,) = Injector(injections).feed(Delivery(Kind.IMAGE, "rear", 0, message))
    assert after.message.data.tobytes() == own[:, ::-1].tobytes()
    assert (after.message.header.stamp.sec, message.header.stamp.sec) == (17, 7)
    assert message.data.tobytes() == own.tobytes()
