# SPDX-License-Identifier: Apache-2.0
"""Every bad bag gives one BagError that names the thing, and nothing is left half-written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.bag_reader import RESTART_NS
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.images import image_to_message
from bev_perception.bags.poses import transforms_to_message
from bev_perception.bags.typestore import CAMERA_INFO, IMAGE, TF
from bev_perception.errors import BagError, BevError, CalibrationError
from bev_perception.geometry import FrameSet, PinholeCamera, Rig, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
from bev_perception.perception import Synchronizer, frame_sets

SECOND = 1_000_000_000
CAMERA = PinholeCamera.from_field_of_view(8, 6, 90.0)
PIXELS = np.zeros((6, 8, 3), dtype=np.uint8)
WriteBag = Callable[..., Path]


def image(stamp: int = SECOND, frame: str = "front_optical_frame", pixels=PIXELS) -> tuple:
    topic = "/camera/front/image_raw"
    return topic, IMAGE, stamp, image_to_message(pixels, stamp, frame)


def info(**changes) -> tuple:
    message = camera_to_message(CAMERA, SECOND, "front_optical_frame")
    for name, value in changes.items():
        setattr(message, name, value)
    return "/camera/front/camera_info", CAMERA_INFO, SECOND, message


def tf(parent: str = "base_link", child: str = "front_optical_frame") -> tuple:
    message = transforms_to_message(SECOND, [(parent, child, BODY_T_OPTICAL)])
    return "/tf_static", TF, SECOND, message


def test_a_missing_path() -> None:
    with pytest.raises(BagError, match="/no/such/bag: there is no such bag"):
        BagReader("/no/such/bag")


@pytest.mark.parametrize("name", ["notes.txt", "drive.bag"])
def test_a_file_that_is_no_bag(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello")
    with pytest.raises(BagError, match=rf"{name}: (not a ROS 2 bag|a ROS 1 bag)"):
        BagReader(tmp_path / name)


def test_a_folder_that_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"no metadata\.yaml and no \.mcap or \.db3"):
        BagReader(tmp_path)


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_storage_file_of_other_content(tmp_path: Path, suffix: str) -> None:
    for content in (b"", b"not a bag at all", bytes(5000)):
        path = tmp_path / f"bag{suffix}"
        path.write_bytes(content)
        with pytest.raises(BagError, match=r"cannot be read as a ROS 2 bag: .+; "):
            BagReader(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2, 0.5, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_truncated_mcap_at_any_place(drive: Path, share: float, as_file: bool) -> None:
    storage = drive / "drive.mcap"
    whole = storage.read_bytes()
    storage.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BagError, match=r"cannot be read as a ROS 2 bag: .+; the recording was cut"):
        BagReader(storage if as_file else drive)


def test_a_truncated_real_keyframe(keyframe: Path, tmp_path: Path) -> None:
    whole = (keyframe / "nuscenes_keyframe.mcap").read_bytes()
    for size in (7, 40, 1000, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{size}.mcap"
        path.write_bytes(whole[:size])
        with pytest.raises(BagError, match=rf"{size}\.mcap: cannot be read"):
            BagReader(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.95])
def test_a_truncated_sqlite3(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet], share: float
) -> None:
    with BagWriter(tmp_path / "bag", "sqlite3") as writer:
        for frame_set in frame_sets * 8:
            writer.write_frame_set(frame_set, rig)
    storage = tmp_path / "bag" / "bag.db3"
    whole = storage.read_bytes()
    storage.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BagError), BagReader(tmp_path / "bag") as reader:
        list(reader.camera_frames())


def test_damaged_bytes_anywhere_never_escape_as_another_exception(
    drive: Path, tmp_path: Path
) -> None:
    whole = bytearray((drive / "drive.mcap").read_bytes())
    random = np.random.default_rng(3)
    failures = 0
    for index in range(60):
        damaged = bytearray(whole)
        for position in random.integers(0, len(whole), 20):
            damaged[position] = int(random.integers(256))
        path = tmp_path / f"damaged{index}.mcap"
        path.write_bytes(damaged)
        try:
            with BagReader(path) as reader:
                reader.summary()
                list(reader.camera_frames())
                for stamp in reader.label_stamps_ns:
                    reader.objects(stamp)
        except BevError:
            failures += 1
    assert failures > 10


@pytest.mark.parametrize(
    "text", ["", "{: not yaml", "a: 1", "rosbag2_bagfile_information: {version: 5}", "[1, 2]"]
)
def test_a_corrupt_metadata_file_is_named_and_the_way_round_it_works(
    drive: Path, text: str
) -> None:
    (drive / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match=r"metadata.*name the \.mcap or \.db3 file"):
        BagReader(drive)
    with BagReader(drive / "drive.mcap") as reader:
        assert list(reader.rig().names) == ["front", "left"]


def test_a_metadata_file_that_names_a_lost_storage_file(drive: Path) -> None:
    (drive / "drive.mcap").unlink()
    with pytest.raises(BagError, match=r"drive\.mcap"):
        BagReader(drive)


def test_no_camera_topics_lists_what_is_there(raw_bag: WriteBag) -> None:
    path = raw_bag([tf()])
    with BagReader(path) as reader:
        for ask in (reader.rig, lambda: list(reader.camera_frames())):
            with pytest.raises(BagError, match=r"no camera topics; .*its topics are /tf_static"):
                ask()


def test_a_camera_without_camera_info(raw_bag: WriteBag) -> None:
    with (
        BagReader(raw_bag([image(), tf()])) as reader,
        pytest.raises(BagError, match=r"'front' .*no CameraInfo: nothing on /camera/front/camera_"),
    ):
        reader.rig()


def test_what_a_bag_lacks_names_the_bag(raw_bag: WriteBag) -> None:
    """Of two hundred bags to train on, one may be the bad one."""
    strange = image()
    strange[3].encoding = "yuv9"
    path = raw_bag([strange, tf()])
    with BagReader(path) as reader:
        for ask in (reader.rig, lambda: next(reader.camera_frames())):
            with pytest.raises(BagError) as caught:
                ask()
            assert str(caught.value).startswith(f"{path}: ")
    rig_file = RigFile("base_link", {"fornt": RigFileCamera()}, path=Path("car.yaml"))
    with pytest.raises(BagError, match=r"raw: car\.yaml: camera 'fornt'.*of that name.*front"):
        BagReader(path, rig_file)


def test_an_uncalibrated_camera(raw_bag: WriteBag) -> None:
    with (
        BagReader(raw_bag([image(), info(k=np.zeros(9)), tf()])) as reader,
        pytest.raises(CalibrationError, match=r"/camera/front/camera_info: k\[0\] = 0"),
    ):
        reader.rig()


def test_a_missing_transform_names_both_frames(raw_bag: WriteBag) -> None:
    with (
        BagReader(raw_bag([image(), info(), tf("base_link", "lidar")])) as reader,
        pytest.raises(BagError, match=r"'front'.*'front_optical_frame'.*'base_link'.*rig file"),
    ):
        reader.rig()


def test_two_unconnected_trees_name_both_frames(raw_bag: WriteBag) -> None:
    messages = [image(), info(), tf("base_link", "lidar"), tf("gantry", "front_optical_frame")]
    with (
        BagReader(raw_bag(messages)) as reader,
        pytest.raises(BagError, match=r"'front_optical_frame'.*'base_link'.*does not connect"),
    ):
        reader.rig()


def test_a_transform_that_was_never_filled_names_topic_and_frames(raw_bag: WriteBag) -> None:
    message = tf()[3]
    message.transforms[0].transform.rotation.w = 0.0
    message.transforms[0].transform.rotation.x = 0.0
    message.transforms[0].transform.rotation.y = 0.0
    message.transforms[0].transform.rotation.z = 0.0
    path = raw_bag([image(), info(), ("/tf", TF, SECOND, message)])
    words = r"/tf: 1 of the transforms 'base_link' -> 'front_opt.* left out: .* norm 0"
    with BagReader(path) as reader:
        assert any(re.search(words, problem) for problem in reader.summary().problems)
        with pytest.raises(BagError, match=rf"camera 'front': no transform .*{words}"):
            reader.rig()


@pytest.mark.parametrize("topic", ["/tf", "/tf_static"])
def test_an_impossible_transform_of_another_frame_costs_that_transform_alone(
    raw_bag: WriteBag, topic: str
) -> None:
    wrong = tf("base_link", "wheel")[3]
    for name in "xyzw":
        setattr(wrong.transforms[0].transform.rotation, name, 0.0)
    loop = tf("front_optical_frame", "base_link")
    messages = [tf(), image(), info(), (topic, TF, SECOND, wrong), loop]
    with BagReader(raw_bag(messages)) as reader:
        assert list(reader.rig()) == ["front"]
        assert "wheel" not in reader.transform_tree.frames
        refused = reader.refused_transforms
    assert any(re.search(r"'wheel' left out: .* norm 0", text) for text in refused)
    assert any("'base_link' left out" in text and "loop" in text for text in refused)


def test_stamps_that_go_back_in_time(raw_bag: WriteBag) -> None:
    topic, msgtype, _, early = image(SECOND)
    path = raw_bag([image(5 * SECOND), (topic, msgtype, 6 * SECOND, early), tf(), info()])
    with BagReader(path) as reader:
        with pytest.raises(BagError, match=r"image_raw go back from 5\.0+ s to 1\.0+ s"):
            list(reader.camera_frames())
        assert any("1 stamps go back" in problem for problem in reader.summary().problems)


def test_an_image_a_little_out_of_order_is_dropped_as_it_is_live(raw_bag: WriteBag) -> None:
    topic, msgtype, _, early = image(5 * SECOND - 1_000)
    late = image(5 * SECOND + SECOND // 10)
    messages = [image(5 * SECOND), (topic, msgtype, 5 * SECOND + 1, early), late, tf(), info()]
    synchronizer = Synchronizer(["front"])
    with BagReader(raw_bag(messages)) as reader:
        stamps = [found.stamp_ns for found in frame_sets(reader, synchronizer)]
    assert stamps == [5 * SECOND, 5 * SECOND + SECOND // 10]
    assert synchronizer.statistics.dropped["front"] == {"out of order": 1}
    assert synchronizer.statistics.clock_jumps == 0
    assert synchronizer.timeout_ns == RESTART_NS, "what goes back by less is no jump to either"


def test_an_image_of_another_size_than_its_calibration(raw_bag: WriteBag) -> None:
    path = raw_bag([image(pixels=np.zeros((3, 4, 3), dtype=np.uint8)), info(), tf()])
    with (
        BagReader(path) as reader,
        pytest.raises(BagError, match=r"image is 4x3 but its calibration .* is for 8x6"),
    ):
        list(reader.camera_frames())


def test_an_unknown_encoding_names_the_topic(raw_bag: WriteBag) -> None:
    entry = image()
    entry[3].encoding = "weird"
    with (
        BagReader(raw_bag([entry, info(), tf()])) as reader,
        pytest.raises(BagError, match=r"/camera/front/image_raw: image encoding 'weird'.*rgb8"),
    ):
        list(reader.camera_frames())


def test_unknown_cameras_are_named_beside_the_known(drive: Path) -> None:
    with BagReader(drive) as reader, pytest.raises(BagError, match=r"no camera 'up'.*front, left"):
        next(reader.camera_frames(["up"]))


def test_a_rig_file_that_names_a_topic_which_the_bag_lacks(drive: Path) -> None:
    rig_file = RigFile("base_link", {"front": RigFileCamera(image_topic="/front/image")})
    with pytest.raises(BagError, match=r"'front'.*'/front/image'.*/camera/left/image_raw"):
        BagReader(drive, rig_file)
    with pytest.raises(BagError, match=r"labels topic '/boxes' is not in the bag"):
        BagReader(drive, RigFile("base_link", {"front": RigFileCamera()}, labels_topic="/boxes"))


def test_an_existing_path_is_not_overwritten(drive: Path) -> None:
    before = (drive / "drive.mcap").read_bytes()
    with pytest.raises(BagError, match="exists already and is not overwritten"), BagWriter(drive):
        pass
    assert (drive / "drive.mcap").read_bytes() == before


def test_an_unknown_storage_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="unknown storage 'rosbag', expected mcap or sqlite3"):
        BagWriter(tmp_path / "bag", storage="rosbag")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_nothing_is_left_after_an_error_or_ctrl_c(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet], storage: str, failure: type[BaseException]
) -> None:
    target = tmp_path / "out"
    target.mkdir()

    def write() -> None:
        with BagWriter(target / "bag", storage) as writer:
            writer.write_frame_set(frame_sets[0], rig)
            assert not (target / "bag").exists()
            assert list(target.iterdir())
            raise failure

    with pytest.raises(failure):
        write()
    assert list(target.iterdir()) == []


def test_a_bag_appears_only_when_complete_and_alone(drive: Path) -> None:
    assert [path.name for path in drive.parent.iterdir()] == ["drive"]
    assert sorted(path.name for path in drive.iterdir()) == ["drive.mcap", "metadata.yaml"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            BagError, match=r"file/bag: cannot be written: (Not a directory|File exists)"
        ),
        BagWriter(tmp_path / "file" / "bag"),
    ):
        pass


def test_frames_that_do_not_fit_the_rig_are_refused(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet]
) -> None:
    only_left = rig.subset(["left"])
    with (
        pytest.raises(BagError, match=r"camera 'front' is not in the rig \(left\)"),
        BagWriter(tmp_path / "bag") as writer,
    ):
        writer.write_frame_set(frame_sets[0], only_left)
    halved = Rig({name: rig[name].resized(16, 12) for name in rig.names})
    with (
        pytest.raises(BagError, match=r"'front' is 32x24, its calibration is for 16x12"),
        BagWriter(tmp_path / "bag") as writer,
    ):
        writer.write_frame_set(frame_sets[0], halved)


def test_a_closed_reader_says_so(drive: Path) -> None:
    reader = BagReader(drive)
    reader.close()
    reader.close()
    with pytest.raises(BagError, match="the bag is closed"):
        list(reader.camera_frames())


def test_an_interrupted_recording_without_metadata_is_still_read(drive: Path) -> None:
    (drive / "metadata.yaml").unlink()
    with BagReader(drive) as reader:
        assert reader.world_T_base(reader.label_stamps_ns[0]) is not None
    shutil.copy(drive / "drive.mcap", drive / "second.mcap")
    with pytest.raises(BagError, match=r"metadata\.yaml is missing beside 2 storage files"):
        BagReader(drive)


def test_a_camera_without_frame_id_takes_its_mounting_from_a_rig_file_or_is_refused(
    raw_bag: WriteBag,
) -> None:
    path = raw_bag([image(frame=""), info(), tf()])
    rig_file = RigFile(
        "base_link",
        {"front": RigFileCamera(camera=CAMERA, base_T_camera=RigidTransform.identity())},
    )
    with BagReader(path, rig_file) as reader:
        assert reader.rig()["front"].base_T_camera.is_close(RigidTransform.identity())
    no_frame = RigFile("base_link", {"front": RigFileCamera(camera=CAMERA)})
    with BagReader(path, no_frame) as reader, pytest.raises(BagError, match="frame_id is empty"):
        reader.rig()
