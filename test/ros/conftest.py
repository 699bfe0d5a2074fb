# SPDX-License-Identifier: Apache-2.0
"""Real nodes in real processes, a client that talks to them, cameras, and a network of no weight.

Every pytest process has a DDS domain of its own that does not leave this machine. Nothing
sleeps: wait_until and the clients' wait methods wait for what the test needs.

    def test_grid(perception_node, client, cameras):
        grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
        perception_node(min_cameras=2)
        cameras.wait_matched()
        cameras.publish(stamp_ns=SECOND)
        assert grids.wait(1)[0].header.frame_id == "base_link"
"""

from __future__ import annotations

import array
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bev_perception.geometry import Rig, RigidTransform, load_rig
from bev_perception.resources import config_path

sys.path.insert(0, str(Path(__file__).parent))  # grid_messages

TIMEOUT_S = 20.0
"""For discovery and for a first answer; two busy cores are slow."""

RESPONSE_S = 4.0
"""After this long a service is asked once more."""

IMAGE_SIZE = (96, 64)
"""Width and height of the cameras' images."""

PERCEPTION = "bev_perception.ros.perception_node"


def wait_for(
    condition: Callable[[], Any],
    timeout_s: float = TIMEOUT_S,
    what: str | Callable[[], str] = "the condition",
) -> Any:
    """The first true value of condition(); fails the test after timeout_s."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(
                f"waited {timeout_s:.0f} s in vain for {what() if callable(what) else what}"
            )
        time.sleep(0.01)
    return value


class RosProcess:
    """A node in a process of its own, its output in a file.

    Attributes:
        process: the child.
        log_path: where stdout and stderr go together.
    """

    def __init__(self, command: list[str], log_path: Path, environment: dict[str, str]) -> None:
        self.name = " ".join(command[1:4])
        self.log_path = log_path
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        """Everything written so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern: str, timeout_s: float = TIMEOUT_S) -> re.Match[str]:
        """The first match of a regular expression in the log."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.log)
            if match is None and self.process.poll() is not None:
                pytest.fail(f"{self.name} ended ({self.process.returncode}) without {pattern!r}")
            return match

        return wait_for(found, timeout_s, f"{pattern!r} in the log of {self.name}")

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Exit code of a process that ends by itself."""
        return self.process.wait(timeout_s)

    def stop(self, with_signal: signal.Signals = signal.SIGINT, timeout_s: float = 15.0) -> int:
        """Ends it as Ctrl-C does; its exit code. One that hangs is killed and fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"{self.name} went on for {timeout_s} s after {with_signal.name}")


class RosProcesses:
    """Starts nodes, ends them all, prints their logs (pytest shows those of failed tests)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[RosProcess] = []

    def __call__(
        self,
        module: str,
        *arguments: object,
        parameters: Mapping[str, Any] | None = None,
        remappings: Mapping[str, str] | None = None,
        ready: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RosProcess:
        """Runs ``python -m module arguments --ros-args ...``.

        Args:
            module: for example bev_perception.ros.perception_node.
            arguments: before --ros-args.
            parameters: node parameters, plain values.
            remappings: names by name.
            ready: regular expression to wait for in the log.
            environment: variables beside those of the domain.
        """
        command = [sys.executable, "-m", module, *map(str, arguments)]
        ros = [f"{name}:={json.dumps(value)}" for name, value in (parameters or {}).items()]
        options = [part for value in ros for part in ("-p", value)]
        for name, other in (remappings or {}).items():
            options += ["-r", f"{name}:={other}"]
        if options:
            command += ["--ros-args", *options]
        log_path = self.folder / f"{module.rpartition('.')[2]}_{len(self.started)}.log"
        process = RosProcess(command, log_path, {**os.environ, **(environment or {})})
        self.started.append(process)
        if ready is not None:
            process.wait_for_log(ready)
        return process

    def stop(self) -> None:
        """Ends all, newest first."""
        for process in reversed(self.started):
            try:
                process.stop()
            finally:
                print(f"---- {process.name}\n{process.log}")


class Collected:
    """Messages of one topic, in order of arrival."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.messages: list[Any] = []
        self.subscription: Any = None

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, index: int) -> Any:
        return self.messages[index]

    def clear(self) -> None:
        """Forgets what came."""
        self.messages = []

    def wait(self, count: int = 1, timeout_s: float = TIMEOUT_S) -> list[Any]:
        """All messages, once there are at least count."""
        wait_for(
            lambda: len(self.messages) >= count,
            timeout_s,
            lambda: f"{count} messages on {self.topic}, {len(self.messages)} came",
        )
        return list(self.messages)

    def wait_until(
        self, condition: Callable[[Any], Any], timeout_s: float = TIMEOUT_S, what: str = ""
    ) -> Any:
        """The first message, of those there and those to come, that fulfils the condition."""
        return wait_for(
            lambda: next((message for message in list(self.messages) if condition(message)), None),
            timeout_s,
            what or f"a certain message on {self.topic}",
        )


class Client:
    """A node of the test's own, spun in the background.

    Attributes:
        node: the rclpy node, for what has no method here.
    """

    def __init__(self, rclpy: Any, name: str) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self.node = rclpy.create_node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def publisher(self, topic: str, kind: type, qos: Any = 10) -> Any:
        """A publisher, made once per topic."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def publish(self, topic: str, message: Any, qos: Any = 10) -> None:
        """One message; wait_matched first if it must not be lost."""
        self.publisher(topic, type(message), qos).publish(message)

    @property
    def topics(self) -> tuple[str, ...]:
        """That it publishes."""
        return tuple(self._publishers)

    def remove_publisher(self, topic: str) -> None:
        """As a driver that ends."""
        self.node.destroy_publisher(self._publishers.pop(topic))

    def collect(self, topic: str, kind: type, qos: Any = 10) -> Collected:
        """Subscribes and keeps every message."""
        collected = Collected(topic)
        collected.subscription = self.node.create_subscription(
            kind, topic, lambda message: collected.messages.append(message), qos
        )
        return collected

    def wait_matched(self, endpoint: Any, count: int = 1, timeout_s: float = TIMEOUT_S) -> None:
        """Until a publisher, subscription or Collected has count counterparts that fit it."""
        endpoint = getattr(endpoint, "subscription", endpoint)
        topic = endpoint.topic_name
        matched = getattr(endpoint, "get_subscription_count", None) or getattr(
            endpoint, "get_publisher_count", lambda: self.node.count_publishers(topic)
        )
        wait_for(lambda: matched() >= count, timeout_s, f"{count} counterparts of {topic}")

    def call(self, service: str, kind: Any, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        """Response of a service.

        Asked again after a while: a server that has not discovered the client yet throws its
        response away, and nothing here can tell that it has.
        """
        caller = self.node.create_client(kind, service)
        wait_for(caller.service_is_ready, timeout_s, f"service {service}")
        futures = [caller.call_async(request)]
        asked = time.monotonic()

        def answered() -> Any:
            nonlocal asked
            if time.monotonic() > asked + RESPONSE_S:
                futures.append(caller.call_async(request))
                asked = time.monotonic()
            return next((future for future in futures if future.done()), None)

        future = wait_for(answered, timeout_s, f"response of {service}")
        self.node.destroy_client(caller)
        return future.result()

    def set_parameters(self, node: str, **values: Any) -> list[Any]:
        """SetParametersResult per value, for a node such as "/bev"."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        messages = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParameters.Request(parameters=messages)
        return list(self.call(f"{node}/set_parameters", SetParameters, request).results)

    def close(self) -> None:
        """Ends the thread and the node."""
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()


class Cameras:
    """Drivers of a rig: images, CameraInfo and /tf_static on the topics that all agree on.

    Attributes:
        rig: what they publish, IMAGE_SIZE pixels.
        silent: cameras that publish no image at present.
        without_info: cameras that publish no CameraInfo at present.
        offset_ns: added to the stamps of a camera.
        spoil: per camera a function that changes its image message or returns another one.
        spoil_info: the same for its CameraInfo.
    """

    def __init__(self, client: Client, rig: Rig, image_qos: Any = 10) -> None:
        self.client = client
        self.rig = rig
        self.image_qos = image_qos
        self.silent: set[str] = set()
        self.without_info: set[str] = set()
        self.offset_ns: dict[str, int] = {}
        self.spoil: dict[str, Callable[[Any], Any]] = {}
        self.spoil_info: dict[str, Callable[[Any], Any]] = {}
        self.compressed = False
        random = np.random.default_rng(0)
        width, height = IMAGE_SIZE
        self.images = {
            name: random.integers(0, 256, (height, width, 3), dtype=np.uint8) for name in rig.names
        }
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def image_topic(self, camera: str) -> str:
        """Where its images go."""
        return f"/camera/{camera}/image_raw" + ("/compressed" if self.compressed else "")

    def wait_matched(self, names: Iterable[str] | None = None, count: int = 1) -> None:
        """Until as many subscribe to images and CameraInfo of the named cameras, or all."""
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        kind = CompressedImage if self.compressed else Image
        for name in self.rig.names if names is None else names:
            image = self.client.publisher(self.image_topic(name), kind, self.image_qos)
            info = self.client.publisher(f"/camera/{name}/camera_info", CameraInfo)
            self.client.wait_matched(image, count)
            self.client.wait_matched(info, count)

    def image_message(self, camera: str, stamp_ns: int) -> Any:
        """sensor_msgs/Image, or CompressedImage (JPEG) where compressed."""
        from sensor_msgs.msg import CompressedImage, Image

        image, frame = self.images[camera], self.rig[camera].frame_id
        message = CompressedImage(format="jpeg") if self.compressed else Image(encoding="rgb8")
        _stamp(message.header, stamp_ns, frame)
        if self.compressed:
            import cv2

            encoded = cv2.imencode(".jpg", image[..., ::-1])[1]
            message.data = array.array("B", encoded.tobytes())
        else:
            message.height, message.width, message.step = *image.shape[:2], image.shape[1] * 3
            message.data = array.array("B", image.tobytes())
        return message

    def info_message(self, camera: str, stamp_ns: int) -> Any:
        """sensor_msgs/CameraInfo."""
        from sensor_msgs.msg import CameraInfo

        lens = self.rig[camera].camera
        message = CameraInfo(width=lens.width, height=lens.height, distortion_model="plumb_bob")
        _stamp(message.header, stamp_ns, self.rig[camera].frame_id)
        message.d, message.k = [0.0] * 5, [float(value) for value in lens.matrix.reshape(-1)]
        message.r = [float(value) for value in np.eye(3).reshape(-1)]
        message.p = [float(value) for value in np.eye(4)[:3].reshape(-1)]
        message.p[:3], message.p[4:7] = message.k[:3], message.k[3:6]
        return message

    def publish_static(self, frames: Iterable[str] | None = None) -> None:
        """/tf_static, latched, of the named cameras, or all."""
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from tf2_msgs.msg import TFMessage

        names = self.rig.names if frames is None else frames
        entries = [
            _transform(0, "base_link", self.rig[name].frame_id, self.rig[name].base_T_camera)
            for name in names
        ]
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.client.publish("/tf_static", TFMessage(transforms=entries), latched)

    def publish_pose(self, stamp_ns: int, map_T_base: RigidTransform) -> None:
        """/tf from map to base_link."""
        from tf2_msgs.msg import TFMessage

        transform = _transform(stamp_ns, "map", "base_link", map_T_base)
        self.client.publish("/tf", TFMessage(transforms=[transform]))

    def publish(self, stamp_ns: int | None = None, names: Iterable[str] | None = None) -> int:
        """One set, of the named cameras or all, now or at a stamp; returns the stamp."""
        stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
        for name in self.rig.names if names is None else names:
            own_ns = stamp_ns + self.offset_ns.get(name, 0)
            if name not in self.without_info:
                info = self.spoil_info.get(name, _same)(self.info_message(name, own_ns))
                self.client.publish(f"/camera/{name}/camera_info", info)
            if name not in self.silent:
                image = self.spoil.get(name, _same)(self.image_message(name, own_ns))
                self.client.publish(self.image_topic(name), image, self.image_qos)
        return stamp_ns

    def start(self, rate_hz: float = 10.0) -> None:
        """Publishes in the background until stop."""
        self.stop()
        self._stop.clear()

        def run() -> None:
            while not self._stop.wait(1.0 / rate_hz):
                self.publish()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends what start began."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def close(self) -> None:
        """As drivers that end."""
        self.stop()
        topics = [f"/camera/{name}/camera_info" for name in self.rig.names]
        topics += [self.image_topic(name) for name in self.rig.names]
        for topic in (*topics, "/tf", "/tf_static"):
            if topic in self.client.topics:
                self.client.remove_publisher(topic)


def _same(message: Any) -> Any:
    return message


def _stamp(header: Any, stamp_ns: int, frame_id: str) -> None:
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    header.frame_id = frame_id


def _transform(stamp_ns: int, parent: str, child: str, parent_T_child: RigidTransform) -> Any:
    from geometry_msgs.msg import TransformStamped

    entry = TransformStamped(child_frame_id=child)
    _stamp(entry.header, stamp_ns, parent)
    target = entry.transform
    place, turn = parent_T_child.translation, parent_T_child.quaternion
    target.translation.x, target.translation.y, target.translation.z = map(float, place)
    target.rotation.x, target.rotation.y, target.rotation.z, target.rotation.w = map(float, turn)
    return entry


@pytest.fixture(scope="session")
def ros_environment() -> Iterator[Any]:
    """rclpy, initialised in a domain of this pytest process alone."""
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
    if importlib.util.find_spec("tf2_msgs") is None:
        pytest.skip("tf2_msgs is not installed: `make ros` generates it")
    from rclpy.signals import SignalHandlerOptions

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(23 + os.getpid() % 78))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.delenv("ROS_LOCALHOST_ONLY", raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        patch.setenv("PYTHONUNBUFFERED", "1")
        profile = config_path("rigs/default.yaml").parent.parent / "fastdds.xml"
        if profile.is_file():
            patch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
            patch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profile))
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        yield rclpy
        rclpy.shutdown()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """wait_until(condition, timeout_s, what): the first true value."""
    return wait_for


@pytest.fixture
def ros_process(ros_environment: Any, tmp_path: Path) -> Iterator[RosProcesses]:
    """Starts ``python -m module`` and ends it after the test: see RosProcesses."""
    processes = RosProcesses(tmp_path)
    yield processes
    processes.stop()


@pytest.fixture(scope="module")
def ros_process_of_module(
    ros_environment: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RosProcesses]:
    """The same for nodes that all tests of a file share."""
    processes = RosProcesses(tmp_path_factory.mktemp("nodes"))
    yield processes
    processes.stop()


@pytest.fixture
def client(ros_environment: Any) -> Iterator[Client]:
    """A node of the test's own."""
    node = Client(ros_environment, "test_client")
    yield node
    node.close()


@pytest.fixture(scope="module")
def client_of_module(ros_environment: Any) -> Iterator[Client]:
    """A node that all tests of a file share."""
    node = Client(ros_environment, "test_client_of_module")
    yield node
    node.close()


@pytest.fixture(scope="session")
def small_rig() -> Rig:
    """The default rig with images of IMAGE_SIZE."""
    rig = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: rig[name].resized(*IMAGE_SIZE) for name in rig})


@pytest.fixture
def make_cameras(small_rig: Rig) -> Iterator[Callable[..., Cameras]]:
    """make_cameras(client, image_qos, frames): drivers, and /tf_static of frames or of all."""
    made: list[Cameras] = []

    def make(client: Client, frames: Iterable[str] | None = None, **options: Any) -> Cameras:
        cameras = Cameras(client, small_rig, **options)
        cameras.publish_static(frames)
        made.append(cameras)
        return cameras

    yield make
    for cameras in made:
        cameras.close()


@pytest.fixture
def cameras(client: Client, make_cameras: Callable[..., Cameras]) -> Cameras:
    """Four drivers of the test's client."""
    return make_cameras(client)


@pytest.fixture(scope="session")
def fast_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learned nothing and takes a few milliseconds."""
    import torch

    from bev_perception.geometry import BevGrid
    from bev_perception.model import Segnet, SegnetConfig, save_weights

    torch.manual_seed(0)
    config = SegnetConfig(
        encoder="light",
        image_size=(64, 96),
        heights_m=(0.0, 1.0),
        grid=BevGrid.centered(16.0, 1.0),
        latent_dim=8,
        decoder_widths=(8, 8, 8),
        light_widths=(8, 8, 8),
        feature_head=False,
    )
    path = tmp_path_factory.mktemp("weights") / "fast.safetensors"
    save_weights(path, Segnet(config), {"recipe": "none"})
    return path


def perception_starter(processes: RosProcesses, weights: Path) -> Callable[..., RosProcess]:
    """start(name, **parameters) of the perception node, wired to the topics of Cameras."""

    def start(name: str = "bev", **parameters: Any) -> RosProcess:
        values = {"weights": str(weights), "device": "cpu", "num_threads": 1, **parameters}
        compressed = values.get("image_transport") == "compressed"
        remappings = {"__node": name}
        for camera in values.get("cameras", ("front", "left", "rear", "right")):
            image = f"/camera/{camera}/image_raw" + ("/compressed" if compressed else "")
            remappings[f"~/input/{camera}/image"] = image
            remappings[f"~/input/{camera}/camera_info"] = f"/camera/{camera}/camera_info"
        return processes(PERCEPTION, parameters=values, remappings=remappings)

    return start


@pytest.fixture
def perception_node(ros_process: RosProcesses, fast_weights: Path) -> Callable[..., RosProcess]:
    """perception_node(name="bev", **parameters): the perception node of one test."""
    return perception_starter(ros_process, fast_weights)


@pytest.fixture(scope="module")
def perception_node_of_module(
    ros_process_of_module: RosProcesses, fast_weights: Path
) -> Callable[..., RosProcess]:
    """perception_node_of_module(name="bev", **parameters): for all tests of a file."""
    return perception_starter(ros_process_of_module, fast_weights)
