# SPDX-License-Identifier: Apache-2.0
"""What is in shards is what was in the bag; what is damaged is refused with its name."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from drive_bags import CARS, PERIOD, START, YAWS, changed, drive_messages, with_clouds, write_drive

from bev_perception.datasets import (
    ExtractionSettings,
    ShardReader,
    find_bags,
    open_drive,
    prepare_bags,
)
from bev_perception.datasets.extraction import DataSetPlan, extract_bags
from bev_perception.datasets.preparation import prepare_bag
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.datasets.tar_header import tar_header
from bev_perception.errors import BagError, ConfigurationError, DatasetError
from bev_perception.geometry.point_values import RADAR_VALUES

ALL = ShardSettings(min_distance_m=0.0)


def members(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}


def decoded(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("storage", "compression", "files"),
    [
        ("mcap", "", 1),
        ("mcap", "storage", 3),
        ("mcap", "file", 3),
        ("mcap", "message", 1),
        ("sqlite3", "", 3),
        ("sqlite3", "file", 1),
        ("sqlite3", "message", 3),
    ],
)
def test_jpeg_images_are_passed_through_untouched(tmp_path, storage, compression, files):
    bag = write_drive(tmp_path / "bag", 3, storage=storage, compression=compression, files=files)
    assert len(list(bag.glob("bag*"))) == files
    extract_bags([bag], DataSetPlan(tmp_path / "out", ALL, processes=1))
    files = members(tmp_path / "out/drives/bag/000000.tar")
    recorded = [m for m in drive_messages(3, True, 0.5) if m.topic.endswith("compressed")]
    names = [f"bag-{number:06d}.{name}.jpg" for number in range(3) for name in YAWS]
    assert [bytes(m.message.data) for m in recorded] == [files[name] for name in names]
    record = json.loads(files["bag-000002.json"])
    assert record["source"] == "bag"
    assert record["offset_ns"] == 200_000_000
    assert record["stamp_ns"] == START + 200_000_000
    assert np.array(record["world_T_base"])[0, 3] == pytest.approx(1.0)


def test_headers_of_shards_are_those_of_tarfile():
    for name, size, mtime in [("bag-000001.front.jpg", 51, 1), ("n" * 100, 2**33 - 1, 2**31),
                              ("n" * 101, 5, 0), ("ä.json", 5, 6), ("late", 1, 2**34)]:  # fmt: skip
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = size, mtime
        assert tar_header(name, size, mtime) == entry.tobuf(tarfile.PAX_FORMAT)


def test_raw_images_are_encoded_well_or_without_loss(tmp_path):
    bag = write_drive(tmp_path / "bag", 3, jpeg=False)
    raw = [m.message for m in drive_messages(3, False, 0.5) if m.topic.endswith("image_raw")]
    truth = raw[0].data.reshape(64, 96, 3)
    for kind, suffix in (("png", "png"), ("jpeg", "jpg")):
        settings = ShardSettings(raw_format=kind, min_distance_m=0.0)
        extract_bags(
            [bag], DataSetPlan(tmp_path / kind, settings, processes=4)
        )  # encodes in threads
        files = members(tmp_path / kind / "drives/bag/000000.tar")
        image = decoded(files[f"bag-000000.front.{suffix}"])
        quality = cv2.imencode(".jpg", cv2.cvtColor(truth, cv2.COLOR_RGB2BGR), [1, 95])[1]
        assert (image == (truth if kind == "png" else decoded(quality.tobytes()))).all()


def test_compressed_mosaics_are_stored_in_the_colours_that_a_run_sees(tmp_path):
    """Passed through, they would be grey checkerboards."""

    def in_mosaics(messages):
        for each in messages:
            if each.topic.endswith("compressed"):
                mosaic = np.tile(np.array([[200, 40], [40, 10]], np.uint8), (32, 48))
                mosaic[::5] //= 2  # or it would be of one colour
                each.message.data = cv2.imencode(".png", mosaic)[1].reshape(-1)
                each.message.format = "bayer_rggb8; png compressed "
        return messages

    bag = write_drive(tmp_path / "bag", 3, spoil=in_mosaics)
    settings = ShardSettings(raw_format="png", min_distance_m=0.0)
    extract_bags([bag], DataSetPlan(tmp_path / "out", settings, processes=1))
    with open_drive(bag) as recorded, open_drive(tmp_path / "out/drives/bag") as stored:
        for theirs, ours in zip(recorded.sets(), stored.sets(), strict=True):
            image = ours.frame_set.frames["front"].image
            assert image[10:-10, :, 0].mean() > 2.5 * image[10:-10, :, 2].mean()
            np.testing.assert_array_equal(image, theirs.frame_set.frames["front"].image)


def test_labels_poses_and_rig_come_back_as_they_were(tmp_path):
    bag = write_drive(tmp_path / "bag", 4)
    extract_bags([bag], DataSetPlan(tmp_path / "out", ALL, processes=1))
    with open_drive(bag) as recorded, open_drive(tmp_path / "out/drives/bag") as stored:
        assert stored.rig == recorded.rig
        for theirs, ours in zip(recorded.sets(), stored.sets(), strict=True):
            assert ours.frame_set.stamp_ns == theirs.frame_set.stamp_ns
            assert ours.frame_set.world_T_base.is_close(theirs.frame_set.world_T_base)
            for box, expected, car in zip(ours.objects, theirs.objects, CARS, strict=True):
                assert box.pose.is_close(expected.pose, 2e-6, 1e-7)
                assert (box.label, box.object_id, box.visibility) == ("car", car.object_id, 0.9)
                np.testing.assert_allclose(box.size, car.size)
                np.testing.assert_allclose(box.velocity, car.velocity)


@pytest.mark.parametrize("sensor", ["none", "lidar", "radar", "radar_features"])
def test_prepared_shards_equal_prepared_bags(tmp_path, sensor):
    clouds = {"/lidar/points": (), "/radar/points": RADAR_VALUES}
    bag = write_drive(tmp_path / "bag", 5, jpeg=False, spoil=with_clouds(clouds))
    settings = ShardSettings(raw_format="png", min_distance_m=0.0)
    extract_bags([bag], DataSetPlan(tmp_path / "out", settings, {"train": 1.0}, processes=1))
    how = ExtractionSettings((32, 48), stride=2, sensor=sensor)
    drives = find_bags([Path(f"{tmp_path / 'out'}:train")])
    (theirs,) = prepare_bags([bag], tmp_path / "cache", how, 1, False)
    (ours,) = prepare_bags(drives, tmp_path / "cache", how, 1, False)
    assert len(ours) == len(theirs) == 3
    for index in range(3):
        one, other = ours.sample(index), theirs.sample(index)
        assert (one.images == other.images).all()
        assert one.rig == other.rig
        assert len(one.objects) == len(other.objects) == len(CARS)
        if sensor != "none":
            width = 19 if sensor == "radar_features" else 3
            assert one.points.shape == ((0 if index == 1 else 50), width)
        np.testing.assert_array_equal(one.points, other.points)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_a_stride_counts_sets_with_labels_and_decodes_no_other_image(tmp_path, stride):
    """Labels of 2 Hz beside cameras of 10 Hz; images of all other sets are damaged."""
    labelled = [3, 8, 13, 18]

    def spoil(messages):
        for each in messages:
            if "image_raw" in each.topic and each.moment not in labelled[::stride]:
                each.message.data = each.message.data[:40]
        return [each for each in messages if "objects" not in each.topic or each.moment in labelled]

    def moments(sets):
        return [(each.frame_set.stamp_ns - START) // PERIOD for each in sets]

    with open_drive(write_drive(tmp_path / "slow", 20, spoil=spoil)) as drive:
        assert moments(drive.sets(stride)) == labelled[::stride]
        if stride > 1:
            with pytest.raises(BagError, match="image_raw"):  # without labels every set counts
                list(drive.sets(stride, labelled_only=False))
    whole = write_drive(tmp_path / "whole", 20, spoil=lambda m: [
        each for each in m if "objects" not in each.topic or each.moment in labelled
    ])  # fmt: skip
    with open_drive(whole) as drive:
        found = list(drive.sets(stride, labelled_only=False))
    assert moments(found) == list(range(0, 20, stride))
    assert moments(each for each in found if each.objects) == [
        n for n in labelled if n % stride == 0
    ]


def test_a_drive_that_is_named_twice_is_refused_whatever_its_names_are(tmp_path, data_set):
    folder = tmp_path / "bags"
    bag, other = (write_drive(folder / name, 2, files=2) for name in ("one", "two"))
    link = tmp_path / "link"
    link.symlink_to(bag)
    files = sorted(bag.glob("*.mcap"))
    for names in ((bag, bag), (folder, bag), (bag, files[1]), (files[0], bag), (link, bag)):
        with pytest.raises(ConfigurationError, match="are the same drive; name it once"):
            find_bags([other, *names] if folder not in names else names)
    with pytest.raises(ConfigurationError, match="same drive"):
        find_bags([data_set, data_set])
    assert find_bags([other, *files]) == [other, *files], "parts of one recording are no doubles"
    assert find_bags([data_set, folder])[-2:] == [bag, other]


def test_large_clouds_are_thinned_and_left_out_where_that_is_asked_for(tmp_path):
    bag = write_drive(tmp_path / "bag", 3, spoil=with_clouds({"/lidar/points": ()}))
    for max_points, count in ((0, None), (20, 20), (50, 50)):
        out = tmp_path / str(max_points)
        settings = ShardSettings(min_distance_m=0.0, max_points=max_points)
        extract_bags([bag], DataSetPlan(out, settings, processes=1))
        with open_drive(out / "drives/bag") as drive:
            points = next(drive.sets(points_of="lidar")).points
        assert (None if points is None else len(points)) == count


def test_clouds_that_cannot_be_read_are_left_out_and_noted(tmp_path):
    def spoil(messages):
        messages = with_clouds({"/lidar/points": ()})(messages)
        return changed("/lidar", lambda cloud: setattr(cloud, "width", 999), 1)(messages)

    bag = write_drive(tmp_path / "bag", 4, spoil=spoil)
    manifest = extract_bags([bag], DataSetPlan(tmp_path / "out", ALL, processes=1))
    (drive,) = manifest["drives"]
    assert drive["verdict"] == "fair" or drive["notes"]
    assert any("1 lidar clouds were left out" in note for note in drive["notes"])
    with open_drive(tmp_path / "out/drives/bag") as stored:
        found = [labelled.points is not None for labelled in stored.sets(points_of="lidar")]
    assert found == [True, False, False, True]


def test_shards_of_before_there_were_points_are_read_and_say_what_they_lack(data_set, tmp_path):
    def made_before(record):
        del record["points"]
        record["version"] = 1

    rewrite(data_set, made_before)
    read(data_set)
    drive = data_set / "drives/bag"
    prepare_bag(drive, tmp_path / "images", ExtractionSettings((32, 48)))
    with pytest.raises(BagError, match=r"no lidar points .*extract shards again"):
        prepare_bag(drive, tmp_path / "both", ExtractionSettings((32, 48), sensor="lidar"))


def test_large_drives_become_several_shards(tmp_path):
    bag = write_drive(tmp_path / "bag", 6)
    settings = ShardSettings(min_distance_m=0.0, shard_mb=0.02)
    manifest = extract_bags([bag], DataSetPlan(tmp_path / "out", settings, processes=1))
    assert len(manifest["drives"][0]["shards"]) > 1
    (drive,) = ShardReader(tmp_path / "out").drives
    assert [each.frame_set.stamp_ns - START for each in drive.sets(2)] == [0, 2e8, 4e8]


def test_webdataset_reads_the_shards(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    extract_bags(
        [write_drive(tmp_path / "bag", 3)], DataSetPlan(tmp_path / "out", ALL, processes=1)
    )
    shard = str(tmp_path / "out/drives/bag/000000.tar")
    samples = list(webdataset.WebDataset(shard, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples] == [f"bag-{n:06d}" for n in range(3)]
    assert samples[0]["front.jpg"].shape == (64, 96, 3)
    assert samples[0]["json"]["objects"][0]["label"] == "car"


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    bag = write_drive(tmp_path / "bag", 3)
    extract_bags([bag], DataSetPlan(tmp_path / "out", ALL, processes=1))
    return tmp_path / "out"


def read(data_set: Path) -> None:
    for drive in ShardReader(data_set).drives:
        list(drive.sets(points_of="lidar"))


def rewrite(data_set: Path, change) -> None:
    """Changes the JSON of the first set and makes the shard whole again."""
    shard, described = data_set / "drives/bag/000000.tar", data_set / "drives/bag/drive.json"
    files = members(shard)
    record = json.loads(files["bag-000000.json"])
    change(record)
    files["bag-000000.json"] = json.dumps(record).encode()
    with tarfile.open(shard, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    values = json.loads(described.read_text())
    values["shards"][0]["bytes"] = shard.stat().st_size
    values["shards"][0]["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    described.write_text(json.dumps(values))


def test_damaged_shards_are_refused(data_set):
    shard = data_set / "drives/bag/000000.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=r"000000\.tar: \d+ bytes, but \d+ were written"):
        read(data_set)
    flipped = bytearray(content)
    flipped[5000] ^= 1
    shard.write_bytes(flipped)
    with pytest.raises(DatasetError, match=r"000000\.tar: its content has changed"):
        read(data_set)
    shard.unlink()
    with pytest.raises(DatasetError, match=r"000000\.tar: is no file"):
        read(data_set)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["objects"][0]["position"].__setitem__(0, float("nan")), "holds NaN"),
        (lambda r: r["objects"][0]["size"].__setitem__(0, -1.0), "size must be three positive"),
        (lambda r: r["objects"][0].update(label="tank"), "unknown class 'tank'"),
        (lambda r: r["objects"][0].update(visibility=7), "visibility must lie in 0 to 1"),
        (lambda r: r.pop("stamp_ns"), "KeyError 'stamp_ns'"),
        (lambda r: r.update(version=99), "version 99"),
        (lambda r: r["points"].update(lidar={"file": "front.jpg"}), "ValueError .*magic"),
        (lambda r: r["points"].update(lidar={"file": "../lidar.npy"}), "KeyError"),
    ],
)
def test_impossible_values_name_their_set(data_set, change, words):
    rewrite(data_set, change)
    with pytest.raises(DatasetError, match=rf"000000\.tar: set bag-000000: .*{words}"):
        read(data_set)


def test_other_versions_unknown_splits_and_unfinished_sets_are_told(data_set):
    with pytest.raises(DatasetError, match="no split 'testing'; its splits are train"):
        ShardReader(f"{data_set}:testing")
    manifest = data_set / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"version": 2', '"version": 3', 1))
    with pytest.raises(
        DatasetError, match=r"version 3 of the shard format, .* reads versions 1 and 2"
    ):
        find_bags([data_set])
    manifest.write_text("{")
    with pytest.raises(DatasetError, match=r"manifest\.json: damaged"):
        find_bags([data_set])
    manifest.unlink()
    with pytest.raises(DatasetError, match="no finished data set"):
        find_bags([data_set])
    with pytest.raises(BagError, match="does not exist"):
        find_bags([data_set / "nowhere"])
