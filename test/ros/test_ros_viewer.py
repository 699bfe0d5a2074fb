# SPDX-License-Identifier: Apache-2.0
"""bev view of live topics: what is published is in the recording, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: `make ros` generates it")
pytest.importorskip("rerun", reason="the extra 'view' is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from object_topics import markers_message
from own_viewer import Session
from rerun_recording import Recording
from std_msgs.msg import Float32

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.ros import viewer
from bev_perception.ros.output_messages import (
    centers_message,
    occupancy_grid_message,
    probability_grid_message,
)
from bev_perception.ros.stamps import header_message
from bev_perception.ros.viewer_settings import ViewerSettings
from bev_perception.visualization.palette import VEHICLE_FILL
from bev_perception.visualization.rerun_view import RerunView

SECOND = 1_000_000_000
STAMP = 50 * SECOND
BASE = "/world/base_link"
GRID = BevGrid.centered(8.0, 1.0)
WORLD_T_BASE = RigidTransform.from_euler(yaw=0.3, translation=(5.0, 2.0, 0.0))


@pytest.fixture
def session(ros_environment: Any, client: Any, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(**settings: Any) -> Session:
        path = tmp_path / "live.rrd"
        made.append(Session(ros_environment, client, path, **settings))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def car(number: int) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=0.2, translation=(4.0, 1.0, 0.8))
    return ObjectBox("car", number, pose, np.array([4.0, 1.8, 1.5]), np.array([2.0, 0.0, 0.0]))


def output(stamp_ns: int) -> BevOutput:
    """Cell (2, 5) is occupied, and there is one car."""
    probability = np.zeros(GRID.shape, np.float32)
    probability[2, 5] = 0.9
    return BevOutput(
        stamp_ns=stamp_ns,
        grid=GRID,
        probability=probability,
        unknown=np.zeros(GRID.shape, bool),
        center=np.zeros(GRID.shape, np.float32),
        offset=np.zeros((2, *GRID.shape), np.float32),
        objects=(car(6),),
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_images_lie_on_the_pinholes_that_camera_info_and_tf_tell(
    session: Any, cameras: Any, compressed: bool
) -> None:
    cameras.compressed = compressed
    live = session()
    topics = [cameras.image_topic(name) for name in cameras.rig.names]
    live.show_until(
        lambda: all(live.viewer.shown[topic] > 3 for topic in topics), lambda: cameras.publish()
    )
    recording = live.recording()
    assert live.warnings == []
    for name in cameras.rig.names:
        path, expected = f"{BASE}/camera/{name}", cameras.rig[name]
        assert recording.transform(path).is_close(expected.base_T_camera, 1e-4, 1e-4)
        matrix = expected.camera.matrix + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        assert recording.intrinsics(path) == pytest.approx(matrix, abs=1e-3)
        image = recording.image(f"{path}/image", recording.stamps(f"{path}/image")[-1])
        noise, other = (
            cameras.images[n].astype(int) for n in (name, "rear" if name != "rear" else "front")
        )
        assert np.abs(image - noise).mean() < 0.7 * np.abs(image - other).mean()


def test_outputs_are_shown_at_their_stamps(session: Any, client: Any, cameras: Any) -> None:
    live = session(node="/robot/bev")
    moment = output(STAMP)

    def publish() -> None:
        cameras.publish_pose(STAMP - SECOND // 10, WORLD_T_BASE)
        cameras.publish_pose(STAMP + SECOND // 10, WORLD_T_BASE)
        base = "/robot/bev"
        client.publish(f"{base}/occupancy_grid", occupancy_grid_message(moment, "base_link", 0.5))
        client.publish(f"{base}/probability_grid", probability_grid_message(moment, "base_link"))
        client.publish(f"{base}/centers", centers_message(moment, "base_link"))
        markers = markers_message(STAMP, "base_link", moment.base_objects)
        client.publish(f"{base}/markers", markers)
        client.publish(f"{base}/debug/latency_ms/engine", Float32(data=33.5))

    names = ("occupancy_grid", "probability_grid", "centers", "markers", "debug/latency_ms/engine")
    live.show_until(
        lambda: all(live.viewer.shown[f"/robot/bev/{name}"] > 3 for name in names), publish
    )
    recording = live.recording()
    colors = recording.grid_colors(f"{BASE}/ground/occupancy", STAMP)
    assert (colors[GRID.num_y - 1 - 2, 5] == VEHICLE_FILL).all()
    assert recording.image("/bev/probability", STAMP).shape == (16, 16, 3)
    assert recording.values(f"{BASE}/predicted/boxes", "Boxes3D:labels", STAMP) == ["car 6"]
    centers = recording.array(f"{BASE}/predicted/centers", "Points3D:positions", STAMP)
    assert centers == pytest.approx(np.array([[4.0, 1.0, 0.8]]))
    assert recording.values("/latency/engine", "Scalars:scalars", STAMP) == [33.5]
    assert recording.transform(BASE, STAMP).is_close(WORLD_T_BASE, 1e-4, 1e-4)
    assert live.warnings == []


def test_truth_in_the_map_is_brought_to_the_vehicle_which_is_left_out(
    session: Any, client: Any, cameras: Any
) -> None:
    live = session()
    ego = ObjectBox("car", 1, RigidTransform.identity(), np.array([4.6, 1.9, 1.6]))
    in_map = [box.transformed(WORLD_T_BASE) for box in (car(3), ego)]

    def publish() -> None:
        cameras.publish_pose(STAMP, WORLD_T_BASE)
        client.publish("/ground_truth/objects", markers_message(STAMP, "map", in_map))

    live.show_until(lambda: live.viewer.shown["/ground_truth/objects"] > 2, publish)
    path = f"{BASE}/truth/boxes"
    recording = live.recording()
    assert recording.values(path, "Boxes3D:labels", STAMP) == ["car 3"]
    centers = recording.array(path, "Boxes3D:centers", STAMP)
    assert centers == pytest.approx(np.array([[4.0, 1.0, 0.8]]), abs=1e-4)


def test_diagnostics_are_lines_of_the_log(session: Any, client: Any) -> None:
    live = session()
    status = DiagnosticStatus(
        name="bev: camera front", level=DiagnosticStatus.WARN, message="stopped 3 s ago"
    )
    message = DiagnosticArray(header=header_message(STAMP, ""), status=[status])
    live.show_until(
        lambda: live.viewer.shown["/diagnostics"] > 0,
        lambda: client.publish("/diagnostics", message),
    )
    (path,) = [name for name in live.recording().entities if name.startswith("/log/")]
    recording = live.recording()
    assert recording.values(path, "TextLog:level", STAMP) == ["WARN"]
    (text,) = recording.values(path, "TextLog:text", STAMP)
    assert text == "stopped 3 s ago"


def test_reports_of_another_clock_do_not_stretch_time(
    session: Any, client: Any, cameras: Any
) -> None:
    live = session()
    message = DiagnosticArray(header=header_message(STAMP * 1000, ""), status=[DiagnosticStatus()])

    def publish() -> None:
        cameras.publish(STAMP)
        if live.viewer.shown[cameras.image_topic("front")]:
            client.publish("/diagnostics", message)

    live.show_until(lambda: live.viewer.shown["/diagnostics"] > 0, publish)
    recording = live.recording()
    assert {stamp for path in recording.entities for stamp in recording.stamps(path)} == {STAMP}
    assert any("use_sim_time" in warning for warning in live.warnings)


def test_the_newest_message_is_shown_and_older_ones_are_not(
    session: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many come while the viewer is busy."""
    stamps: list[int] = []
    monkeypatch.setattr(RerunView, "occupancy", lambda view, stamp, *_: stamps.append(stamp))
    live = session()

    def send(stamp_ns: int) -> None:
        message = occupancy_grid_message(output(stamp_ns), "base_link", 0.5)
        client.publish("/bev/occupancy_grid", message)

    live.show_until(lambda: stamps, lambda: send(STAMP))
    last = STAMP + 20 * SECOND
    for index in range(1, 21):
        send(STAMP + index * SECOND)
    live.show_until(lambda: last in stamps, lambda: None)
    assert stamps[-1] == last
    assert len([stamp for stamp in stamps if stamp > STAMP]) <= 3


def test_what_cannot_be_shown_is_said_once(session: Any, cameras: Any) -> None:
    def spoil(message: Any) -> Any:
        message.encoding = "yuv9"
        return message

    cameras.spoil["front"] = spoil
    live = session()
    topic = cameras.image_topic("left")
    live.show_until(lambda: live.viewer.shown[topic] > 5, lambda: cameras.publish())
    assert live.viewer.shown[cameras.image_topic("front")] == 0
    (warning,) = live.warnings
    assert "/camera/front/image_raw" in warning
    assert "yuv9" in warning


def test_what_does_not_come_is_said(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "_PATIENCE_S", 0.3)
    live = session()
    live.run_until(lambda: live.warnings)
    assert "nothing has come on /bev/occupancy_grid" in live.warnings[0]


def test_stamps_that_jump_back_are_said(session: Any, cameras: Any) -> None:
    live = session(cameras=("front",))
    topic = cameras.image_topic("front")
    for stamp in (100 * SECOND, 10 * SECOND):
        before = live.viewer.shown[topic]
        live.show_until(
            lambda before=before: live.viewer.shown[topic] > before,
            lambda stamp=stamp: cameras.publish(stamp),
        )
    assert any("jumped back" in warning and "log_time" in warning for warning in live.warnings)


def test_one_topic_cannot_be_that_of_several_cameras() -> None:
    with pytest.raises(ConfigurationError, match=r"image_topic '/image'.*\{camera\}"):
        ViewerSettings(image_topic="/image")
    assert ViewerSettings(cameras=("a",), image_topic="/image").raw_topic_of("a") == "/image"


def test_ctrl_c_completes_the_file(ros_process: Any, cameras: Any, tmp_path: Path) -> None:
    path = tmp_path / "live.rrd"
    arguments = ("view", "--save", path, "--rate", 20)
    process = ros_process("bev_perception.cli.main", *arguments, ready="showing /bev and 4 cameras")
    cameras.start()
    cameras.wait_matched()
    assert process.stop() == 0
    assert "Traceback" not in process.log
    assert f"look at it with: rerun {path}" in process.log
    assert "/world" in Recording(path).entities
    assert [entry.name for entry in tmp_path.glob("*live*")] == ["live.rrd"]
