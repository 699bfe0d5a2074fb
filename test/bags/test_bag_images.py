# SPDX-License-Identifier: Apache-2.0
"""Images in every supported encoding, with padded rows, and those that are refused."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.bags.compressed_images import decoded_image, image_from_compressed
from bev_perception.bags.encoded_image import encoded_size, is_damaged_png
from bev_perception.bags.headers import make_header
from bev_perception.bags.images import SUPPORTED_ENCODINGS, image_from_message, image_to_message
from bev_perception.bags.typestore import COMPRESSED_IMAGE, IMAGE, message_class
from bev_perception.errors import BagError

RED = (200, 30, 90)


def padded(pixels: np.ndarray, encoding: str, padding: int = 0, big: int = 0):
    """An Image of (H, W[, C]) uint8 rows with bytes of 0xEE behind every row."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    filler = np.full((height, padding), 0xEE, dtype=np.uint8)
    data = np.hstack([rows, filler])
    header = make_header(1, "camera")
    return message_class(IMAGE)(
        header, height, width, encoding, big, data.shape[1], data.reshape(-1)
    )


def compressed(data: bytes, image_format: str):
    """A CompressedImage of encoded bytes."""
    return message_class(COMPRESSED_IMAGE)(
        make_header(1, "camera"), image_format, np.frombuffer(data, dtype=np.uint8)
    )


@settings(max_examples=40, deadline=None)
@given(
    encoding=st.sampled_from(["rgb8", "bgr8", "rgba8", "bgra8", "mono8"]),
    height=st.integers(1, 7),
    width=st.integers(1, 9),
    padding=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_channels_are_ordered_and_padding_is_left_out(
    encoding: str, height: int, width: int, padding: int, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.full((height, width, 1), 17, dtype=np.uint8)
    if encoding == "mono8":
        rgb[:] = rgb[..., :1]
    stored = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], axis=-1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], axis=-1),
        "mono8": rgb[..., 0],
    }[encoding]
    image = image_from_message(padded(stored, encoding, padding), "/camera/image_raw")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, rgb)


@pytest.mark.parametrize("big", [0, 1])
def test_sixteen_bits_are_scaled_to_eight_in_either_byte_order(big: int) -> None:
    values = np.arange(65536, dtype=">u2" if big else "<u2").reshape(256, 256)
    message = padded(values.view(np.uint8), "mono16", big=big)
    message.width = 256  # two bytes each
    image = image_from_message(message, "/t")
    expected = np.rint(np.arange(65536) * (255.0 / 65535.0)).reshape(256, 256)
    np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=-1))


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["rgb", "bgr", "rgba", "bgra", "bayer_rggb", "bayer_grbg"]),
    padding=st.integers(0, 3),
    seed=st.integers(0, 2**31),
)
def test_sixteen_bit_colours_are_those_of_eight_bits(name: str, padding: int, seed: int) -> None:
    channels = 1 if name.startswith("bayer") else len(name)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, channels), dtype=np.uint8)
    if name.startswith("bayer"):
        pixels[:] = pixels[0, 0]  # interpolating and rounding do not commute
    wide = (pixels.astype("<u2") * 257).view(np.uint8)
    message = padded(wide, f"{name}16", padding)
    message.width = 8
    image = image_from_message(message, "/t")
    np.testing.assert_array_equal(image, image_from_message(padded(pixels, f"{name}8"), "/t"))


def test_a_pair_encoding_of_odd_width_is_refused() -> None:
    message = padded(np.zeros((2, 3, 2), dtype=np.uint8), "yuv422_yuy2")
    with pytest.raises(BagError, match=r"/t: image of 3x2 in yuv422_yuy2.*odd width"):
        image_from_message(message, "/t")


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_the_colour_that_the_sensor_saw(pattern: str) -> None:
    value = dict(zip("rgb", RED))
    cells = np.array([value[letter] for letter in pattern], dtype=np.uint8).reshape(2, 2)
    image = image_from_message(padded(np.tile(cells, (4, 4)), f"bayer_{pattern}8"), "/t")
    np.testing.assert_array_equal(image[2:-2, 2:-2], np.broadcast_to(RED, (4, 4, 3)))


@pytest.mark.parametrize(("encoding", "order"), [("uyvy", "uyvy"), ("yuyv", "yuyv")])
def test_yuv422_is_converted(encoding: str, order: str) -> None:
    component = {"y": 128, "u": 128, "v": 200}
    pair = np.array([component[letter] for letter in order], dtype=np.uint8).reshape(1, 2, 2)
    red, green, blue = image_from_message(padded(np.tile(pair, (2, 1, 1)), encoding), "/t")[0, 0]
    assert red > 200
    assert green < 100
    assert 110 < blue < 150


def test_nv12_is_brightness_and_behind_it_the_colours_of_two_by_two_pixels() -> None:
    bgr = np.full((8, 12, 3), (40, 60, 200), dtype=np.uint8)
    bgr[:, 6:] = (200, 90, 30)
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    u, v = planes[8:].reshape(2, -1)
    stored = np.vstack([planes[:8], np.stack([u, v], axis=-1).reshape(4, 12)])
    message = padded(stored, "nv12", padding=5)
    message.height = 8
    image = image_from_message(message, "/t")
    assert image.shape == (8, 12, 3)
    assert np.abs(image.astype(int) - bgr[..., ::-1]).max() <= 4
    message.data = message.data[:-17]
    with pytest.raises(BagError, match=r"/t: image of 12x8 in nv12 .* 199 bytes, got 187"):
        image_from_message(message, "/t")
    message.height = 7
    with pytest.raises(BagError, match=r"/t: image of 12x7 in nv12.* odd size"):
        image_from_message(message, "/t")


def test_three_channels_without_a_name_are_those_of_opencv() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image = image_from_message(padded(rgb[..., ::-1], "8UC3", 2), "/t")
    np.testing.assert_array_equal(image, rgb)


def test_an_rgb8_image_is_not_copied() -> None:
    message = padded(np.zeros((4, 5, 3), dtype=np.uint8), "rgb8", padding=2)
    assert np.shares_memory(image_from_message(message, "/t"), message.data)


def test_an_unknown_encoding_names_topic_encoding_and_choices() -> None:
    message = padded(np.zeros((2, 2, 4), dtype=np.uint8), "32FC1")
    with pytest.raises(BagError, match=r"/depth.*'32FC1'.*rgb8, bgr8") as error:
        image_from_message(message, "/depth")
    assert all(encoding in str(error.value) for encoding in SUPPORTED_ENCODINGS)


@pytest.mark.parametrize(("step", "size"), [(14, 60), (15, 59), (0, 60)])
def test_a_buffer_that_does_not_hold_its_rows_is_refused(step: int, size: int) -> None:
    message = padded(np.zeros((4, 5, 3), dtype=np.uint8), "rgb8")
    message.step, message.data = step, np.zeros(size, dtype=np.uint8)
    with pytest.raises(BagError, match=rf"/t: image of 5x4 .* step {step} .* got {size} bytes"):
        image_from_message(message, "/t")


def test_only_rgb_arrays_are_written() -> None:
    with pytest.raises(BagError, match=r"\(4, 5\)"):
        image_to_message(np.zeros((4, 5), dtype=np.uint8), 0, "camera")


@pytest.mark.parametrize(
    ("extension", "image_format"),
    [
        (".png", "png"),
        (".png", "rgb8; png compressed bgr8"),
        (".jpg", "jpeg"),
        (".jpg", "bgr8; jpeg compressed bgr8"),
    ],
)
def test_compressed_images_come_back_in_rgb(extension: str, image_format: str) -> None:
    rgb = np.broadcast_to(np.array(RED, dtype=np.uint8), (16, 16, 3))
    data = cv2.imencode(extension, np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
    image = image_from_compressed(compressed(data, image_format), "/t")
    assert np.abs(image.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    ("extension", "bits", "tolerance"), [(".png", 8, 0), (".png", 16, 0), (".jpg", 8, 12)]
)
def test_a_compressed_mosaic_gets_the_colours_that_the_raw_one_gets(
    pattern: str, extension: str, bits: int, tolerance: int
) -> None:
    """As image_transport sends the images of Bayer drivers: the mosaic, as a grey picture."""
    value = dict(zip("rgb", (200, 0, 0)))
    cells = np.array([value[letter] for letter in pattern], dtype=np.uint8).reshape(2, 2)
    mosaic = np.tile(cells, (8, 8))
    encoding, kind = f"bayer_{pattern}{bits}", "png" if extension == ".png" else "jpeg"
    stored = mosaic if bits == 8 else mosaic.astype(np.uint16) * 257
    data = cv2.imencode(extension, stored, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    image = image_from_compressed(compressed(data, f"{encoding}; {kind} compressed "), "/t")
    raw = image_from_message(padded(mosaic, f"bayer_{pattern}8"), "/t")
    np.testing.assert_array_equal(raw[4, 4], (200, 0, 0))
    assert np.abs(image.astype(int) - raw).max() <= tolerance


def test_a_picture_of_a_bayer_driver_that_is_no_mosaic_is_not_taken_for_one() -> None:
    rgb = np.broadcast_to(np.array(RED, dtype=np.uint8), (16, 16, 3))
    data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
    image = image_from_compressed(compressed(data, "bayer_rggb8; png compressed bgr8"), "/t")
    np.testing.assert_array_equal(image, rgb)
    with pytest.raises(BagError, match=r"/t: .*bayer_rggb8 mosaic, but it has 3 channels"):
        image_from_compressed(compressed(data, "bayer_rggb8; png compressed "), "/t")


def test_an_exif_orientation_does_not_turn_the_image_away_from_its_calibration() -> None:
    data = cv2.imencode(".jpg", np.zeros((8, 16, 3), dtype=np.uint8))[1].tobytes()
    tiff = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    exif = b"Exif\x00\x00" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned = data[:2] + segment + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (16, 8, 3)
    assert image_from_compressed(compressed(turned, "jpeg"), "/t").shape == (8, 16, 3)


@pytest.mark.parametrize("image_format", ["h264", "16UC1; compressedDepth png", ""])
def test_an_unknown_codec_names_topic_format_and_choices(image_format: str) -> None:
    with pytest.raises(BagError, match=r"/t: .* is not supported, expected one of jpeg, jpg, png"):
        image_from_compressed(compressed(b"\xff\xd8\xff", image_format), "/t")


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0 cut off"])
def test_a_damaged_compressed_image_is_refused(data: bytes) -> None:
    with pytest.raises(BagError, match=rf"/t: an image of {len(data)} bytes .* does not decode"):
        image_from_compressed(compressed(data, "jpeg"), "/t")


def test_fill_bytes_before_a_marker_of_a_jpeg_do_not_damage_it() -> None:
    """ITU-T T.81 B.1.1.2 allows any number of bytes FF before a marker."""
    image = np.full((24, 32, 3), 130, dtype=np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    frame = data.index(b"\xff\xc0")
    filled = data[:2] + b"\xff\xff" + data[2:frame] + b"\xff" + data[frame:]
    assert encoded_size(filled) == (32, 24)
    decoded = image_from_compressed(compressed(filled, "jpeg"), "/t")
    np.testing.assert_array_equal(decoded, image_from_compressed(compressed(data, "jpeg"), "/t"))
    assert encoded_size(b"\xff\xd8" + b"\xff" * 100) is None


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_half_an_image_is_refused_though_decoders_fill_it_with_grey(extension: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = cv2.imencode(extension, image)[1].tobytes()
    kind = "jpeg" if extension == ".jpg" else "png"
    assert image_from_compressed(compressed(data, kind), "/t").shape == image.shape
    with pytest.raises(BagError, match="does not decode"):
        image_from_compressed(compressed(data[: len(data) // 2], kind), "/t")
    zeros = bytes(20_000)  # of a driver that sends its whole buffer
    assert image_from_compressed(compressed(data + zeros, kind), "/t").shape == image.shape
    with pytest.raises(BagError, match="does not decode"):
        image_from_compressed(compressed(data[: len(data) // 2] + zeros, kind), "/t")


def test_a_png_is_told_damaged_exactly_where_it_does_not_decode() -> None:
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    note = struct.pack(">I", 3) + b"tEXta\0b" + b"bad!"  # a chunk that is no part of the picture
    for whole in (data, data + bytes(300), data[:33] + note + data[33:]):
        assert not is_damaged_png(whole)
        assert decoded_image(np.frombuffer(whole, np.uint8)) is not None
    for place in random.integers(41, len(data) - 12, 100):
        changed = bytearray(data)
        changed[place] ^= int(random.integers(1, 256))
        assert is_damaged_png(bytes(changed))
        assert decoded_image(np.frombuffer(changed, np.uint8)) is None
    lost = data[:1000] + bytes(4096) + data[5096:]
    assert encoded_size(lost) == (60, 40)
    assert is_damaged_png(lost)
    assert not is_damaged_png(cv2.imencode(".jpg", pixels)[1].tobytes())
