# SPDX-License-Identifier: Apache-2.0
"""Whatever keeps a camera out of the map is named on /diagnostics, and its end is noticed.

Most tests share a node: each spoils several cameras of a healthy rig at once, waits until the
node tells the causes apart, and heals them.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from tf2_msgs.msg import TFMessage

CAMERAS = ("front", "left", "rear", "right")
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)
PERIOD_S = 0.1


class Diagnoses:
    """What a node says of itself.

    Args:
        client: of the harness.
        wait_until: of the harness.
        node: name of the node.
    """

    def __init__(self, client: Any, wait_until: Callable[..., Any], node: str) -> None:
        self._collected = client.collect("/diagnostics", DiagnosticArray)
        self._wait_until = wait_until
        self._node = node

    def newest(self) -> dict[str, DiagnosticStatus]:
        """By part of the node."""
        prefix = f"{self._node}: "
        self._collected.wait_until(lambda message: message.status[0].name.startswith(prefix))
        own = [m for m in list(self._collected.messages) if m.status[0].name.startswith(prefix)]
        return {status.name.removeprefix(prefix): status for status in own[-1].status}

    def values(self, part: str) -> dict[str, str]:
        """Figures of a part of the node."""
        return {entry.key: entry.value for entry in self.newest()[part].values}

    def wait(self, expected: Mapping[str, tuple[bytes, str]]) -> dict[str, str]:
        """Until every part has its level and a message that holds the text; the messages."""

        def fits() -> bool:
            newest = self.newest()
            return all(
                newest[part].level == level and text in newest[part].message
                for part, (level, text) in expected.items()
            )

        try:
            self._wait_until(fits, 12.0)
        except pytest.fail.Exception:
            seen = "\n".join(f"{s.name} {s.level!r} {s.message}" for s in self.newest().values())
            pytest.fail(f"expected {dict(expected)}, but diagnostics say\n{seen}")
        return {part: self.newest()[part].message for part in expected}

    def wait_well(self) -> None:
        """Until all cameras, the synchronisation and the engine are well."""
        parts = [*(f"camera {name}" for name in CAMERAS), "synchronization", "engine"]
        self.wait({part: (OK, "") for part in parts})


@pytest.fixture(scope="module")
def shared_node(perception_node_of_module: Callable[..., Any]) -> str:
    """Name of a node that most tests share."""
    perception_node_of_module("shared", diagnostics_period_s=PERIOD_S)
    return "shared"


@pytest.fixture
def diagnoses(shared_node: str, client: Any, wait_until: Callable[..., Any]) -> Diagnoses:
    """Of the shared node."""
    return Diagnoses(client, wait_until, shared_node)


@pytest.fixture
def healthy(diagnoses: Diagnoses, cameras: Any) -> Any:
    """Four cameras with which all is well, at 10 Hz; a test spoils them."""
    cameras.start()
    diagnoses.wait_well()
    return cameras


def test_what_is_missing_from_the_start(
    perception_node: Callable[..., Any],
    client: Any,
    make_cameras: Callable[..., Any],
    wait_until: Callable[..., Any],
) -> None:
    diagnoses = Diagnoses(client, wait_until, "fresh")
    perception_node("fresh", diagnostics_period_s=PERIOD_S, image_reliability="reliable")
    diagnoses.wait({f"camera {name}": (ERROR, "nobody publishes") for name in CAMERAS})
    diagnoses.wait(
        {
            "camera rear": (ERROR, "nobody publishes /camera/rear/image_raw; start its driver"),
            "synchronization": (STALE, "no images come"),
            "engine": (STALE, "no set of images has come yet"),
        }
    )
    cameras = make_cameras(client, frames=["front", "left", "rear"])
    cameras.silent = {"front"}
    cameras.without_info = {"rear"}
    client.publisher("/camera/front/image_raw", CompressedImage)
    client.publisher("/camera/left/image_raw", Image, qos_profile_sensor_data)
    cameras.start()
    told = diagnoses.wait(
        {
            "camera front": (ERROR, "but sensor_msgs/msg/Image is expected"),
            "camera left": (ERROR, "with reliability best_effort but this node asks for reliable"),
            "camera rear": (ERROR, "nobody publishes CameraInfo on /camera/rear/camera_info"),
            "camera right": (ERROR, "no transform from its frame 'right_optical_frame'"),
        }
    )
    assert told["camera front"] == (
        "camera front: publisher /test_client offers /camera/front/image_raw as "
        "sensor_msgs/msg/CompressedImage but sensor_msgs/msg/Image is expected; set "
        "image_transport: compressed"
    )
    assert told["camera left"].endswith("set image_reliability: best_effort")

    cameras.stop()
    client.remove_publisher("/camera/front/image_raw")
    client.remove_publisher("/camera/left/image_raw")
    cameras.silent, cameras.without_info = set(), set()
    cameras.publish_static()
    cameras.start()
    diagnoses.wait_well()


def test_what_goes_wrong_with_images(healthy: Any, diagnoses: Diagnoses) -> None:
    def with_encoding(message: Image) -> Image:
        message.encoding = "64FC4"
        return message

    def black(message: Image) -> Image:
        message.data = array.array("B", bytes(len(message.data)))
        return message

    def of_half_the_height(message: Image) -> Image:
        message.height //= 2
        message.data = message.data[: message.height * message.step]
        return message

    healthy.spoil = {"front": with_encoding, "left": black, "rear": of_half_the_height}
    healthy.silent = {"right"}
    told = diagnoses.wait(
        {
            "camera front": (ERROR, "64FC4"),
            "camera left": (ERROR, "image is black"),
            "camera rear": (ERROR, "image is 96x32 but its CameraInfo says 96x64"),
            "camera right": (ERROR, "/camera/right/image_raw stopped"),
            "synchronization": (WARN, "lack cameras"),
        }
    )
    assert "publisher /test_client is still there" in told["camera right"]
    assert diagnoses.values("camera front")["cause"] == "wrong encoding"
    healthy.spoil, healthy.silent = {}, set()
    diagnoses.wait_well()


def test_what_goes_wrong_with_time_and_calibration(
    healthy: Any, diagnoses: Diagnoses, client: Any
) -> None:
    def uncalibrated(message: Any) -> Any:
        message.k = [0.0] * 9
        return message

    healthy.offset_ns = {"rear": -500_000_000}
    healthy.spoil_info = {"front": uncalibrated}
    volatile = QoSProfile(depth=1, durability=DurabilityPolicy.VOLATILE)
    client.remove_publisher("/tf_static")
    client.publish("/tf_static", TFMessage(), volatile)
    told = diagnoses.wait(
        {
            "camera front": (ERROR, "k[0] = 0"),
            "camera left": (OK, "images per second"),
            "camera rear": (ERROR, "100 % of the images are dropped as late"),
            "transforms": (WARN, "with durability volatile but this node asks for transient_local"),
        }
    )
    assert "raise sync_timeout_ms" in told["camera rear"]
    assert int(diagnoses.values("synchronization")["dropped: rear: late"]) > 0
    healthy.offset_ns, healthy.spoil_info = {}, {}
    client.remove_publisher("/tf_static")
    healthy.publish_static()
    diagnoses.wait_well()
    diagnoses.wait({"transforms": (OK, "")})


def test_a_driver_that_ends_and_comes_back(healthy: Any, diagnoses: Diagnoses, client: Any) -> None:
    healthy.stop()
    healthy.silent = {"right"}
    client.remove_publisher("/camera/right/image_raw")
    healthy.start()
    diagnoses.wait({"camera right": (ERROR, "its publisher is gone")})
    healthy.silent = set()
    diagnoses.wait_well()


def test_figures_are_for_those_who_look_closer(
    healthy: Any, diagnoses: Diagnoses, wait_until: Callable[..., Any]
) -> None:
    wait_until(lambda: float(diagnoses.values("camera front")["rate_hz"]) > 5.0)
    wait_until(lambda: "/test_client" in diagnoses.values("camera front")["publishers"])
    camera = diagnoses.values("camera front")
    assert camera["topic"] == "/camera/front/image_raw"
    assert camera["publishers"] == ("/test_client (sensor_msgs/msg/Image, reliable volatile)")
    assert float(camera["rate_hz"]) < 15.0
    assert 0.0 <= float(camera["last_stamp_age_s"]) < 1.0
    assert int(camera["used"]) <= int(camera["received"])
    assert diagnoses.newest()["camera front"].hardware_id == "front_optical_frame"
    engine = diagnoses.values("engine")
    assert {"model", "device", "precision"} <= set(engine)
    assert 0.0 < float(engine["engine_ms median"]) <= float(engine["engine_ms p95"])
    assert int(diagnoses.values("synchronization")["complete_sets"]) > 0


def test_images_that_cannot_be_decoded(
    perception_node: Callable[..., Any],
    client: Any,
    make_cameras: Callable[..., Any],
    wait_until: Callable[..., Any],
) -> None:
    def damaged(message: CompressedImage) -> CompressedImage:
        message.data = message.data[:40]
        return message

    diagnoses = Diagnoses(client, wait_until, "decoder")
    perception_node(
        "decoder",
        cameras=["front", "left"],
        image_transport="compressed",
        diagnostics_period_s=PERIOD_S,
    )
    cameras = make_cameras(client)
    cameras.compressed = True
    cameras.spoil = {"front": damaged}
    cameras.start()
    diagnoses.wait(
        {
            "camera front": (ERROR, "/camera/front/image_raw/compressed"),
            "camera left": (OK, "images per second"),
        }
    )
    assert diagnoses.values("camera front")["cause"] == "undecodable"
    cameras.spoil = {}
    diagnoses.wait({"camera front": (OK, ""), "engine": (OK, "")})
