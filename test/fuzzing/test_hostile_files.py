# SPDX-License-Identifier: Apache-2.0
"""Files made to do harm, one kind each: bombs, long ways out of a folder, code in definitions."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import sqlite3
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from fuzzing import bag_targets, data_targets
from rosbags.highlevel import AnyReader

from bev_perception.bags import BagReader
from bev_perception.bags.bounded_decompression import (
    TooLargeError,
    check_chunks,
    unpacked_lz4,
    unpacked_zstd,
)
from bev_perception.bags.compressed_images import decoded_image
from bev_perception.datasets import ShardReader
from bev_perception.datasets.nuscenes_import import NuScenesPlan, import_nuscenes
from bev_perception.errors import BagError, BevError, ConfigurationError, DatasetError, WeightsError
from bev_perception.geometry import BevGrid, PinholeCamera
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.model import load_weights
from bev_perception.samples.bounded_arrays import read_npy, read_npz
from bev_perception.untrusted import file_name, inside, parse_json, parse_yaml

BILLION = "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + BILLION


@pytest.mark.parametrize(
    "text",
    [
        ALIAS_BOMB,
        "a: &a [*a]",
        "[" * 5000,
        "a: !!python/object/apply:os.system ['touch escaped']",
        "a: 2020-99-99",
        "x: " + "y" * (33 << 20),
    ],
    ids=["aliases", "itself", "nesting", "code", "date", "size"],
)
def test_hostile_yaml_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
    rig = tmp_path / "rig.yaml"
    rig.write_text(f"cameras:\n  front: {{}}\n{text}")
    with pytest.raises(ConfigurationError) as caught:
        load_rig_file(rig)
    assert len(str(caught.value)) < 2000
    assert not (tmp_path / "escaped").exists()


def test_honest_aliases_are_followed() -> None:
    assert parse_yaml("a: &lens {fov: 90}\nb: *lens") == {"a": {"fov": 90}, "b": {"fov": 90}}
    assert parse_yaml("") is None


def test_json_that_is_nested_without_end_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "x" * 300, None, 3])
def test_names_that_lead_elsewhere_are_no_file_names(name: object) -> None:
    with pytest.raises(ValueError, match="name"):
        file_name(name, "drive")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", None, "a\0b"])
def test_paths_stay_in_their_folder(path: object) -> None:
    with pytest.raises(ValueError, match="shard"):
        inside(Path("/data"), path, "shard")


def test_compressed_data_are_unpacked_no_further_than_the_limit() -> None:
    from lz4.frame import compress as lz4

    zstd = sys.modules["bev_perception.bags.bounded_decompression"].zstd
    zeros = bytes(10_000_000)
    for unpack, packed in ((unpacked_zstd, zstd.compress(zeros)), (unpacked_lz4, lz4(zeros))):
        assert len(packed) < 50_000
        assert unpack(packed) == zeros
        with pytest.raises(TooLargeError):
            unpack(packed, 1_000_000)
        with pytest.raises(Exception, match=r"end|too early|frame|Compressed"):
            unpack(packed[:-5])


def test_an_mcap_whose_chunk_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """rosbags takes our decompressors: without them this chunk would be unpacked whole."""
    bag_targets.small_bag(tmp_path / "bag", compressed=True)
    (storage,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(storage.read_bytes())
    with AnyReader([storage]) as reader:
        (chunk,) = reader.readers[0].storage.chunks
    place = data.rfind(struct.pack("<Q", chunk.uncompressed_size))
    data[place : place + 8] = struct.pack("<Q", 1000)
    storage.write_bytes(data)
    with pytest.raises(BagError, match="compression"), BagReader(storage) as bag:
        list(bag.camera_frames())


def test_an_index_of_overlapping_bombs_is_refused() -> None:
    chunk = bag_chunk(0, 10, 1 << 30, 8)
    check_chunks([bag_chunk(10 * i, 10 * i + 9, 1 << 30, i) for i in range(100)])
    with pytest.raises(TooLargeError, match="overlap"):
        check_chunks([bag_chunk(0, 10, 1 << 30, i) for i in range(5)])
    with pytest.raises(TooLargeError, match="several times"):
        check_chunks([chunk, chunk])


def bag_chunk(start: int, end: int, size: int, place: int) -> object:
    from rosbags.rosbag2.storage_mcap import ChunkInfo

    return ChunkInfo(start, end, place, 10, {}, 0, "zstd", 10, size, {})


def test_metadata_cannot_multiply_itself_nor_lead_out_of_the_bag(tmp_path: Path) -> None:
    bag_targets.small_bag(tmp_path / "bag", storage="sqlite3")
    metadata = tmp_path / "bag" / "metadata.yaml"
    sound = metadata.read_text()
    metadata.write_text(ALIAS_BOMB + sound.replace("sqlite3", "*j"))
    with pytest.raises(BagError, match="aliases"):
        BagReader(tmp_path / "bag")
    (tmp_path / "other.db3").write_bytes(b"")
    metadata.write_text(sound.replace("bag.db3", "../other.db3"))
    with pytest.raises(BagError, match=r"other\.db3"):
        BagReader(tmp_path / "bag")


def test_a_view_in_the_place_of_a_table_is_never_asked(tmp_path: Path) -> None:
    bag_targets.small_bag(tmp_path / "bag", storage="sqlite3")
    with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
        database.execute("ALTER TABLE messages RENAME TO m")
        database.execute(
            "CREATE VIEW messages AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
            "FROM c) SELECT x AS id, 1 AS topic_id, x AS timestamp, x'00' AS data FROM c"
        )
    database.close()
    with pytest.raises(BagError, match="no recorder makes"):
        BagReader(tmp_path / "bag")


@pytest.mark.parametrize("field", ["string[500000000] x", "geometry_msgs/Point[90000000] x"])
def test_definitions_cannot_ask_for_endless_code(tmp_path: Path, field: str) -> None:
    bag_targets.small_bag(tmp_path / "bag")
    entries = bag_targets.bag_messages(tmp_path / "bag")
    kind = "sensor_msgs/msg/CameraInfo"
    text = next(c.msgdef.data for c, _, _ in entries if c.msgtype == kind)
    bag_targets.rewrite_bag(tmp_path, entries, {kind: f"{field}\n{text}"})
    with pytest.raises(BagError, match="array of"):
        BagReader(tmp_path / "bag")


def test_a_ros_type_with_other_fields_is_refused(tmp_path: Path) -> None:
    bag_targets.small_bag(tmp_path / "bag")
    entries = bag_targets.bag_messages(tmp_path / "bag")
    kind = "sensor_msgs/msg/Image"
    text = next(c.msgdef.data for c, _, _ in entries if c.msgtype == kind)
    bag_targets.rewrite_bag(tmp_path, entries, {kind: text.replace("uint32 width", "string width")})
    with pytest.raises(BagError, match=r"Image is that of no ROS 2 release"):
        BagReader(tmp_path / "bag")


def test_pictures_of_impossible_size_are_not_decoded() -> None:
    data = bytearray(data_targets._picture(1, ".png"))
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    assert decoded_image(np.frombuffer(bytes(data), np.uint8)) is None
    jpeg = bytearray(data_targets._picture(1))
    place = jpeg.find(b"\xff\xc0") + 5
    jpeg[place : place + 4] = b"\xff\xff\xff\xff"
    assert decoded_image(np.frombuffer(bytes(jpeg), np.uint8)) is None


def test_grids_and_cameras_have_a_largest_size() -> None:
    with pytest.raises(BevError, match="larger than"):
        BevGrid(0.0, 0.0, 0.1, 10**6, 10**6)
    with pytest.raises(BevError, match="beyond"):
        PinholeCamera.from_field_of_view(100_000, 100_000, 90.0)
    with pytest.raises(BevError, match="whole number"):
        BevGrid(0.0, 0.0, 0.1, float("inf"), 4)  # type: ignore[arg-type]


def test_weights_that_ask_for_more_than_their_tensors_take_no_memory(tmp_path: Path) -> None:
    from fuzzing.model_targets import CONFIG

    from bev_perception.model import Segnet, save_weights

    path = tmp_path / "net.safetensors"
    save_weights(path, Segnet(CONFIG))
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    config = json.loads(header["__metadata__"]["config"])
    config["latent_dim"] = 16_384
    config["decoder_widths"] = [16_384] * 3
    header["__metadata__"]["config"] = json.dumps(config)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(WeightsError, match="do not fit"):
        load_weights(path)


def test_arrays_are_as_large_as_their_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    sound = buffer.getvalue()
    (tmp_path / "a.npy").write_bytes(sound.replace(b"(4,), }         ", b"(99999999999,), }"[:16]))
    (tmp_path / "b.npy").write_bytes(sound.replace(b"(4,)", b"(99)"))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ValueError, match=r"needs more|shape|Error|header"):
            read_npy(tmp_path / name)
    np.save(tmp_path / "c.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        read_npy(tmp_path / "c.npy")
    np.savez_compressed(tmp_path / "d.npz", a=np.arange(5.0))
    np.testing.assert_array_equal(read_npz(tmp_path / "d.npz")["a"], np.arange(5.0))
    with zipfile.ZipFile(tmp_path / "e.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", sound[:128] + bytes(1000))
    assert read_npz(tmp_path / "e.npz")["a"].shape == (4,)


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "a/b"])
def test_scenes_of_nuscenes_cannot_leave_the_output(tmp_path: Path, name: str) -> None:
    data_targets._prepare_nuscenes(tmp_path)
    table = tmp_path / "nuscenes" / "v1.0-mini" / "scene.json"
    table.write_text(json.dumps([{**json.loads(table.read_text())[0], "name": name}]))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match="cannot be the name"):
        import_nuscenes(
            NuScenesPlan(tmp_path / "nuscenes", "v1.0-mini", tmp_path / "out" / "set", processes=1)
        )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_shards_hold_plain_files_only(tmp_path: Path, kind: bytes) -> None:
    import hashlib

    data_targets._prepare_shards(tmp_path)
    drive = tmp_path / "data" / "drives" / "bag"
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo("bag-000000.json")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    (drive / "000000.tar").write_bytes(output.getvalue())
    values = json.loads((drive / "drive.json").read_text())
    digest = hashlib.sha256(output.getvalue()).hexdigest()
    values["shards"][0] |= {"bytes": len(output.getvalue()), "sha256": digest}
    (drive / "drive.json").write_text(json.dumps(values))
    with pytest.raises(DatasetError, match="no plain file"):
        list(ShardReader(tmp_path / "data").drives[0].sets())


@pytest.mark.parametrize("file", ["../../../outside.tar", "/dev/zero", "pipe"])
def test_shards_are_read_from_their_drive_and_never_waited_for(tmp_path: Path, file: str) -> None:
    data_targets._prepare_shards(tmp_path)
    drive = tmp_path / "data" / "drives" / "bag"
    os.mkfifo(drive / "pipe")
    values = json.loads((drive / "drive.json").read_text())
    values["shards"][0] |= {"file": file, "bytes": 0}
    (drive / "drive.json").write_text(json.dumps(values))
    with pytest.raises(DatasetError, match=r"leads out|no file"):
        list(ShardReader(tmp_path / "data").drives[0].sets())


def test_a_bomb_of_a_hundred_megabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    """In a process that has 700 MB beyond what it needs to begin with."""
    program = tmp_path / "read.py"
    program.write_text(
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from bev_perception.bags import bounded_decompression as bounded\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "size = pages * 4096 + 700_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "packed = Path(sys.argv[1]).read_bytes()\n"
        "try:\n"
        "    bounded.unpacked_zstd(packed, 100_000_000)\n"
        "except bounded.TooLargeError:\n"
        "    sys.exit(3)\n"
    )
    zstd = sys.modules["bev_perception.bags.bounded_decompression"].zstd
    part = zstd.compress(bytes(50_000_000))
    (tmp_path / "bomb").write_bytes(part * 100)  # five gigabytes
    done = subprocess.run([sys.executable, program, tmp_path / "bomb"], check=False)
    assert done.returncode == 3
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 0


def test_the_same_seed_spoils_alike(tmp_path: Path) -> None:
    """A finding is made again from its target and its seed."""
    from fuzzing.targets import TARGETS

    valid = tmp_path / "valid"
    valid.mkdir()
    TARGETS["rig_file"].prepare(valid)
    texts = {
        TARGETS["rig_file"].case(valid, tmp_path / "case", "7").joinpath("rig.yaml").read_bytes()
        for _ in range(3)
    }
    assert len(texts) == 1
    assert random.Random("a").random() == random.Random("a").random()
