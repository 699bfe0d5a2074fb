# SPDX-License-Identifier: Apache-2.0
"""Data sets: shards, nuScenes' tables, samples of others, evaluations, and images by themselves."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.bags.encoded_image import encoded_size
from bev_perception.cli.evaluation_folder import read_evaluation
from bev_perception.datasets import ShardReader
from bev_perception.datasets.nuscenes_import import NuScenesPlan, import_nuscenes
from bev_perception.datasets.shard_format import StoredPicture, StoredSet
from bev_perception.datasets.shard_writer import ShardWriter
from bev_perception.errors import BevError
from bev_perception.geometry import RigidTransform
from bev_perception.samples import Drive, find_drives, simple_bev_declaration
from fuzzing.bag_targets import small_rig
from fuzzing.mutations import mutated_bytes, mutated_values

_US = 1_532_402_927_600_000
_TURN = [1.0, 0.0, 0.0, 0.0]
_JSON_BOMB = "[" * 200_000


def spoil_json(path: Path, rng: random.Random) -> None:
    if rng.random() < 0.05:
        path.write_text(_JSON_BOMB)
    elif rng.random() < 0.3:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    else:
        path.write_text(json.dumps(mutated_values(json.loads(path.read_bytes()), rng)))


def _picture(seed: int = 0, suffix: str = ".jpg") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def _prepare_shards(folder: Path) -> None:
    rig, data = small_rig(), folder / "data"
    box = {"label": "car", "id": 1, "position": [9.0, 1.0, 0.8], "quaternion": [0, 0, 0, 1],
           "size": [4.5, 1.9, 1.6], "velocity": [1.0, 0.0, 0.0], "visibility": 0.9}  # fmt: skip
    with ShardWriter(data / "drives" / "bag", "bag", "bag", rig) as writer:
        for number in range(3):
            pictures = {name: StoredPicture(number + 1, _picture(number), "jpg") for name in rig}
            pose = RigidTransform.from_euler(translation=(number, 0, 0))
            writer.add(StoredSet(number + 1, pictures, pose, json.dumps([box]), rig))
    manifest = {"format": "bev_perception shards", "version": 1, "splits": {"train": ["bag"]},
                "drives": [{"name": "bag", "split": "train", "sets": 3}]}  # fmt: skip
    (data / "manifest.json").write_text(json.dumps(manifest))


def _spoil_shards(folder: Path, rng: random.Random) -> None:
    """One of the three files; where it is the tar, its new checksum vouches for it."""
    drive = folder / "data" / "drives" / "bag"
    choice = rng.random()
    if choice < 0.2:
        spoil_json(folder / "data" / "manifest.json", rng)
        return
    if choice < 0.4:
        spoil_json(drive / "drive.json", rng)
        return
    shard = drive / "000000.tar"
    if choice < 0.6:
        data = mutated_bytes(shard.read_bytes(), rng)
    else:
        data = _spoiled_tar(shard.read_bytes(), rng)
    shard.write_bytes(data)
    values = json.loads((drive / "drive.json").read_text())
    values["shards"][0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (drive / "drive.json").write_text(json.dumps(values))


def _spoiled_tar(data: bytes, rng: random.Random) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=output,
                                                                     mode="w") as new:  # fmt: skip
        for member in old.getmembers():
            content = old.extractfile(member)
            text = content.read() if content else b""
            if rng.random() < 0.3 and member.name.endswith("json"):
                text = json.dumps(mutated_values(json.loads(text), rng)).encode()
            elif rng.random() < 0.15:
                text = mutated_bytes(text, rng)
            if rng.random() < 0.1:
                member.name = rng.choice(("../../../escaped", "/escaped", "bag-0.json", "x"))
            if rng.random() < 0.1:
                member.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                          tarfile.CHRTYPE, tarfile.FIFOTYPE))  # fmt: skip
                member.linkname = "/etc/passwd"
                text = b""
            member.size = len(text)
            new.addfile(member, io.BytesIO(text))
    return output.getvalue()


def _read_shards(folder: Path, out: Path) -> None:
    for drive in ShardReader(folder / "data").drives:
        _ = drive.name, len(drive), drive.rig
        for labelled in drive.sets():
            _ = labelled.objects, labelled.rig


def _prepare_nuscenes(folder: Path) -> None:
    """One scene of two keyframes, six cameras, one box; tables by hand."""
    tables: dict[str, list[dict[str, Any]]] = {
        "visibility": [{"token": "4", "level": "v80-100"}],
        "category": [{"token": "c", "name": "vehicle.car"}],
        "log": [{"token": "l", "location": "here"}],
        "instance": [{"token": "i", "category_token": "c"}],
        "scene": [{"token": "s", "name": "scene-0061", "log_token": "l", "nbr_samples": 2,
                   "description": "rain"}],
        "sensor": [], "calibrated_sensor": [], "sample": [], "sample_data": [], "ego_pose": [],
        "sample_annotation": [],
    }  # fmt: skip
    channels = ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK",
                "CAM_BACK_RIGHT", "LIDAR_TOP"]  # fmt: skip
    for channel in channels:
        tables["sensor"].append({"token": f"s{channel}", "channel": channel, "modality": "camera"})
        tables["calibrated_sensor"].append(
            {"token": f"k{channel}", "sensor_token": f"s{channel}", "translation": [1.0, 0, 1.5],
             "rotation": [0.5, -0.5, 0.5, -0.5],
             "camera_intrinsic": [[30.0, 0, 23.5], [0, 30.0, 15.5], [0, 0, 1.0]]})  # fmt: skip
    for index in range(2):
        time = _US + index * 500_000
        tables["sample"].append({"token": f"m{index}", "timestamp": time, "scene_token": "s",
                                 "prev": "", "next": ""})  # fmt: skip
        for channel in channels:
            token, name = f"{channel}{index}", f"samples/{channel}/{time}.jpg"
            tables["ego_pose"].append({"token": token, "timestamp": time, "rotation": _TURN,
                                       "translation": [float(index), 0, 0]})  # fmt: skip
            tables["sample_data"].append(
                {"token": token, "sample_token": f"m{index}", "ego_pose_token": token,
                 "calibrated_sensor_token": f"k{channel}", "filename": name, "timestamp": time,
                 "is_key_frame": True, "width": 48, "height": 32, "prev": "", "next": ""}
            )  # fmt: skip
            place = folder / "nuscenes" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_picture(index))
        tables["sample_annotation"].append(
            {"token": f"a{index}", "sample_token": f"m{index}", "instance_token": "i",
             "visibility_token": "4", "translation": [12.0, 3.0, 0.8], "size": [1.9, 4.5, 1.6],
             "rotation": _TURN, "num_lidar_pts": 5, "num_radar_pts": 0, "attribute_tokens": [],
             "prev": "a0" if index else "", "next": "" if index else "a1"})  # fmt: skip
    place = folder / "nuscenes" / "v1.0-mini"
    place.mkdir()
    for table, rows in tables.items():
        (place / f"{table}.json").write_text(json.dumps(rows))


def _spoil_nuscenes(folder: Path, rng: random.Random) -> None:
    tables = sorted((folder / "nuscenes" / "v1.0-mini").iterdir())
    for path in rng.sample(tables, rng.choice((1, 1, 2))):
        if rng.random() < 0.1:
            rows = json.loads(path.read_bytes())
            key = rng.choice(("name", "filename", "token", "timestamp"))
            for row in rows:
                row[key] = rng.choice(("../../../../escaped", "/dev/zero", "a/b", 1e999, None))
            path.write_text(json.dumps(rows))
        else:
            spoil_json(path, rng)


def _read_nuscenes(folder: Path, out: Path) -> None:
    import_nuscenes(NuScenesPlan(folder / "nuscenes", "v1.0-mini", out / "set", processes=1))


def _arrays() -> dict[str, Any]:
    eye = np.tile(np.eye(4), (2, 1, 1))
    return {
        "imgs": np.zeros((2, 16, 24, 3), np.uint8), "rots": eye[:, :3, :3],
        "trans": np.zeros((2, 3)), "intrins": eye + np.diag([20.0, 20.0, 0, 0]),
        "lrtlist_velo": np.zeros((1, 19)), "vislist": np.ones(1), "tidlist": np.arange(1),
        "scorelist": np.ones(1), "egopose": np.eye(4),
    }  # fmt: skip


def _prepare_samples(kind: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        drive, arrays = folder / "samples" / "drive", _arrays()
        drive.mkdir(parents=True)
        if kind == "npz":
            np.savez_compressed(drive / "000.npz", **arrays)
        elif kind == "json":
            values = {name: value.tolist() for name, value in arrays.items()}
            (drive / "000.json").write_text(json.dumps(values))
        else:
            (drive / "000").mkdir()
            for name, value in arrays.items():
                if name != "imgs":
                    np.save(drive / "000" / f"{name}.npy", value)
            for camera in ("front", "left"):
                (drive / "000" / f"{camera}.png").write_bytes(_picture(1, ".png"))

    return prepare


def _spoil_samples(folder: Path, rng: random.Random) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = rng.choice(files)
    data = path.read_bytes()
    if path.suffix == ".json":
        spoil_json(path, rng)
    elif path.suffix == ".npy" and rng.random() < 0.5:
        shape = rng.choice((b"(9999999999,)", b"(-1, 3)      ", b"(2, 3, 4)    "))
        path.write_bytes(data.replace(data[data.find(b"(") : data.find(b")") + 1], shape, 1))
    else:
        path.write_bytes(mutated_bytes(data, rng))


def _read_samples(folder: Path, out: Path) -> None:
    declaration = simple_bev_declaration(("front", "left"))
    for name, paths in find_drives(folder / "samples").items():
        for _ in Drive(name, paths).samples(declaration):
            pass


def _prepare_evaluation(folder: Path) -> None:
    place = folder / "evaluation"
    place.mkdir()
    frame = {"source": "a", "drive": "a", "stamp_ns": 1, "cells": {"25 m": [1, 2]}}
    (place / "run.json").write_text(json.dumps({"command": "evaluate", "version": "0"}))
    curves = {name: [0.5] for name in ("recall", "precision", "thresholds", "iou")}
    metrics = {
        "iou": {"within_25m": 0.5},
        "center_ap": {"within_25m": {"mean": 0.5}},
        "panoptic": {"within_25m": {"pq": 0.5}},
        "calibration": {"ece": 0.1, "confidence": [0.5], "frequency": [None]},
        "precision_recall": curves,
    }
    (place / "metrics.json").write_text(json.dumps(metrics))
    (place / "frames.json").write_text(json.dumps({"frames": [frame], "pictures": []}))


def _spoil_evaluation(folder: Path, rng: random.Random) -> None:
    spoil_json(rng.choice(sorted((folder / "evaluation").iterdir())), rng)


def _read_evaluation(folder: Path, out: Path) -> None:
    read_evaluation(folder / "evaluation")


def _prepare_image(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(_picture(1))
    (folder / "a.png").write_bytes(_picture(2, ".png"))


def _spoil_image(folder: Path, rng: random.Random) -> None:
    for path in sorted(folder.iterdir()):
        data = bytearray(path.read_bytes())
        if rng.random() < 0.2:
            sides = struct.pack(">II", rng.choice((1 << 14, 1 << 20)), 1 << 15)
            if path.suffix == ".png":
                data[16:24] = sides
            else:
                place = data.find(b"\xff\xc0") + 5
                data[place : place + 4] = b"\xff\xff\xff\xff"
        path.write_bytes(mutated_bytes(bytes(data), rng) if rng.random() < 0.8 else bytes(data))


def _read_image(folder: Path, out: Path) -> None:
    for path in sorted(folder.glob("a.*")):
        data = path.read_bytes()
        encoded_size(data)
        try:
            decoded_image(np.frombuffer(data, np.uint8))
        except BevError:
            continue


TARGETS: dict[str, tuple[Any, ...]] = {
    "shards": (_prepare_shards, _spoil_shards, _read_shards),
    "nuscenes": (_prepare_nuscenes, _spoil_nuscenes, _read_nuscenes),
    "samples_npz": (_prepare_samples("npz"), _spoil_samples, _read_samples),
    "samples_json": (_prepare_samples("json"), _spoil_samples, _read_samples),
    "samples_folder": (_prepare_samples("folder"), _spoil_samples, _read_samples),
    "evaluation": (_prepare_evaluation, _spoil_evaluation, _read_evaluation),
    "images": (_prepare_image, _spoil_image, _read_image),
}
