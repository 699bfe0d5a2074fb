# SPDX-License-Identifier: Apache-2.0
"""Arrays by name from the kinds of files that people store samples in.

``.npz``; ``.pt`` and ``.pth`` (a mapping, or the 18 tensors in the order in which Simple-BEV's
loader gives them); ``.json``; a folder of ``.npy``, such files and camera pictures. Nothing
that runs code when it is read: no pickles, torch files with weights_only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.errors import BagError
from bev_perception.samples.bounded_arrays import read_npy, read_npz
from bev_perception.untrusted import parse_json

LOADER_ORDER = (
    "imgs", "rots", "trans", "intrins", "pts0", "extra0", "pts", "extra", "lrtlist_velo",
    "vislist", "tidlist", "scorelist", "seg_bev_g", "valid_bev_g", "center_bev_g",
    "offset_bev_g", "radar_data", "egopose",
)  # fmt: skip
"""What Simple-BEV's loader gives for one sample, in its order."""

ALIASES = {
    "images": "imgs", "rgb_camXs": "imgs", "image": "imgs",
    "rotations": "rots", "translations": "trans",
    "intrinsics": "intrins", "pix_T_cams": "intrins",
    "ego_T_cams": "velo_T_cams", "extrinsics": "velo_T_cams",
    "lrtlist": "lrtlist_velo", "boxes": "lrtlist_velo", "lrtlist_cam0": "lrtlist_velo",
    "visibility": "vislist", "ids": "tidlist", "track_ids": "tidlist", "scores": "scorelist",
    "classes": "labels", "ego_pose": "egopose", "points": "pts",
}  # fmt: skip
"""Other names for the same things."""

ARRAY_SUFFIXES = (".npz", ".pt", ".pth", ".json")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

Arrays = dict[str, Any]


def read_arrays(path: Path, cameras: tuple[str, ...] | None = None) -> Arrays:
    """Arrays of one file or folder under their first names.

    Args:
        path: file with a suffix of ARRAY_SUFFIXES, or a folder.
        cameras: order of the pictures in a folder; by default that of their names.

    Raises:
        BagError: unreadable, of an unknown kind, or the same thing under two names.
    """
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {
        ".npz": _read_npz, ".pt": _read_torch, ".pth": _read_torch, ".json": _read_json,
    }  # fmt: skip
    if path.is_dir():
        return _read_folder(path, cameras)
    if path.suffix not in readers:
        raise BagError(f"{path} is no sample; expected a folder or {', '.join(ARRAY_SUFFIXES)}")
    try:
        values = readers[path.suffix](path)
    except BagError:
        raise
    except Exception as error:  # parsers of other libraries raise anything on damaged bytes
        reason = " ".join(str(error).split())
        raise BagError(f"{path} cannot be read: {reason[:300]}") from error
    return _under_first_names(values, path)


def _under_first_names(values: Mapping[str, Any], path: Path) -> Arrays:
    named: Arrays = {}
    for key, value in values.items():
        name = ALIASES.get(key, key)
        if name in named:
            raise BagError(f"{path} holds {name} twice, also as {key!r}; keep one of them")
        named[name] = value
    return named


def _read_npz(path: Path) -> Mapping[str, Any]:
    return read_npz(path)


def _read_json(path: Path) -> Mapping[str, Any]:
    content = parse_json(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError("expected a mapping of names to lists")
    return content


def _read_torch(path: Path) -> Mapping[str, Any]:
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            "it holds more than tensors, which only running its code could read; store a "
            "dictionary of tensors"
        ) from error
    if isinstance(content, (list, tuple)):
        if len(content) != len(LOADER_ORDER):
            raise ValueError(
                f"a list of {len(content)} things; expected the {len(LOADER_ORDER)} of Simple-"
                f"BEV's loader ({', '.join(LOADER_ORDER)}), or a dictionary"
            )
        content = dict(zip(LOADER_ORDER, content))
    if not isinstance(content, dict):
        raise ValueError(f"expected a dictionary of tensors, got a {type(content).__name__}")
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            stored = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > stored:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, but only {stored} bytes")
    return {
        str(name): value.float().numpy() if value.is_floating_point() else value.numpy()
        for name, value in content.items()
        if isinstance(value, torch.Tensor)
    } | {str(name): value for name, value in content.items() if not hasattr(value, "numpy")}


def _read_folder(folder: Path, cameras: tuple[str, ...] | None) -> Arrays:
    """All array files of a folder together, and its pictures as imgs."""
    found: Arrays = {}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        if path.suffix == ".npy":
            try:
                values: Arrays = {path.stem: read_npy(path)}
            except (OSError, ValueError) as error:
                raise BagError(f"{path} cannot be read: {error}") from error
            values = _under_first_names(values, path)
        elif path.suffix in ARRAY_SUFFIXES:
            values = read_arrays(path)
        else:
            continue
        twice = sorted(set(values) & set(found))
        if twice:
            raise BagError(f"{folder} holds {', '.join(twice)} in several files; keep one of them")
        found |= values
    pictures = _pictures(folder)
    if pictures and "imgs" not in found:
        found["imgs"] = _read_pictures(folder, pictures, cameras)
    return found


def _pictures(folder: Path) -> dict[str, Path]:
    """Pictures by camera name, in the folder itself or in one below it."""
    for place in (folder, folder / "images", folder / "imgs"):
        if place.is_dir():
            found = {p.stem: p for p in sorted(place.iterdir()) if p.suffix in IMAGE_SUFFIXES}
            if found:
                return found
    return {}


def _read_pictures(
    folder: Path, pictures: Mapping[str, Path], cameras: tuple[str, ...] | None
) -> NDArray[np.uint8]:
    """(S, H, W, 3) uint8 RGB."""
    names = cameras or tuple(pictures)
    missing = [name for name in names if name not in pictures]
    if missing:
        raise BagError(
            f"{folder} has no picture of camera {', '.join(missing)}; it has "
            f"{', '.join(path.name for path in pictures.values())}"
        )
    images = []
    for name in names:
        image = decoded_image(np.fromfile(pictures[name], np.uint8))
        if image is None:
            raise BagError(f"{pictures[name]} is no picture that can be read")
        images.append(image)
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise BagError(f"{folder}: pictures of different sizes {sorted(sizes)}; expected one")
    return np.stack(images)
