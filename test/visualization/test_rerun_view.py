# SPDX-License-Identifier: Apache-2.0
"""What is logged for the Rerun viewer, read back from its file, lies where geometry says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the extra 'view' is not installed")

from rerun_recording import Recording

from bev_perception.errors import CalibrationError
from bev_perception.geometry import (
    BevGrid,
    CameraFrame,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
    load_rig,
)
from bev_perception.resources import config_path
from bev_perception.visualization.palette import UNKNOWN_LIGHT, VEHICLE_FILL, probability_colors
from bev_perception.visualization.rerun_blueprint import view_blueprint
from bev_perception.visualization.rerun_sink import SinkSettings, open_sink
from bev_perception.visualization.rerun_view import RerunView

SECOND = 1_000_000_000
STAMP = 1_700_000_000 * SECOND + 123_456_789
BASE = "/world/base_link"
GRID = BevGrid(-10.0, -6.0, 0.5, 60, 40)
TILTED = RigidTransform.from_euler(roll=0.03, pitch=-0.05, yaw=0.7, translation=(40.0, -7.0, 1.0))

Logged = Callable[[Callable[[RerunView], object]], Recording]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """logged(log): the recording that log(view) leaves."""

    def write(log: Callable[[RerunView], object], max_image_width: int = 960) -> Recording:
        path = tmp_path / "view.rrd"
        blueprint = view_blueprint(("front",), live=False, with_reports=True)
        with open_sink(SinkSettings("file", path), blueprint) as sink:
            log(RerunView(sink.recording, max_image_width=max_image_width))
        return Recording(path)

    return write


@pytest.fixture
def rig() -> Rig:
    return load_rig(config_path("rigs/default.yaml"))


def car(number: int = 7, yaw: float = 0.4, **values: object) -> ObjectBox:
    pose = RigidTransform.from_euler(0.02, -0.01, yaw, (9.0, 3.0, 0.9))
    box = ObjectBox("car", number, pose, np.array([4.4, 1.8, 1.6]))
    return replace(box, **values)


def projected(recording: Recording, camera: str, points: np.ndarray) -> np.ndarray:
    """Pixels of points in base_link as Rerun's entities project them."""
    path = f"{BASE}/camera/{camera}"
    in_camera = recording.transform(path).inverse().apply(points)
    pixels = in_camera @ recording.intrinsics(path).T
    return pixels[..., :2] / pixels[..., 2:]


def test_box_corners_lie_where_the_rig_projects_them(logged: Logged, rig: Rig) -> None:
    recording = logged(lambda view: view.rig(rig))
    for name in rig:
        ahead = rig[name].base_T_camera.apply([0.0, 0.0, 12.0])
        corners = replace(car(), pose=RigidTransform.from_euler(yaw=1.0, translation=ahead)).corners
        expected, visible = rig[name].project(corners)
        assert visible.all()
        # Rerun counts from the corner of the first pixel, we from its centre.
        assert projected(recording, name, corners) == pytest.approx(expected + 0.5, abs=0.01)


def test_cameras_are_mounted_as_in_the_rig(logged: Logged, rig: Rig) -> None:
    recording = logged(lambda view: view.rig(rig))
    for name in rig:
        path = f"{BASE}/camera/{name}"
        assert recording.transform(path).is_close(rig[name].base_T_camera, 1e-5, 1e-5)
        size = (rig[name].camera.width, rig[name].camera.height)
        assert tuple(recording.array(path, "Pinhole:resolution").reshape(2)) == size
        right_down_forward = [[3, 2, 5]]
        assert recording.values(path, "Pinhole:camera_xyz") == right_down_forward
    right_left_up = recording.values("/world", "ViewCoordinates:xyz")
    assert right_left_up == [[3, 5, 1]]


def test_wide_images_are_shrunk_with_their_pinhole(logged: Logged, rig: Rig) -> None:
    camera = rig["front"].camera
    image = np.zeros((camera.height, camera.width, 3), np.uint8)

    def log(view: RerunView) -> None:
        view.rig(rig)
        view.image(CameraFrame("front", STAMP, image))

    recording = logged(log, max_image_width=100)
    shown = recording.image(f"{BASE}/camera/front/image", STAMP)
    assert shown.shape[1] == 100
    expected, _ = rig["front"].resized(100, shown.shape[0]).project(car().corners)
    assert projected(recording, "front", car().corners) == pytest.approx(expected + 0.5, abs=0.01)


@pytest.mark.parametrize(
    ("model", "coefficients", "skew"),
    [
        ("plumb_bob", (-0.25, 0.06, 0.001, -0.002, 0.0), 0.0),
        ("equidistant", (0.05, 0.01, 0.0, 0.0), 0.0),
        ("none", (), 30.0),
    ],
)
def test_images_of_real_lenses_are_shown_undistorted(
    logged: Logged, rig: Rig, model: str, coefficients: tuple[float, ...], skew: float
) -> None:
    matrix = np.array([[250.0, skew, 159.5], [0.0, 250.0, 119.5], [0.0, 0.0, 1.0]])
    lens = PinholeCamera(320, 240, matrix, model, coefficients)
    mounted = RigCamera(lens, rig["front"].base_T_camera)
    point = mounted.base_T_camera.apply([2.0, 1.4, 5.0])
    (u, v), _ = mounted.project(point)
    rows, columns = np.mgrid[:240, :320]
    spot = 255.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 8.0)
    image = np.repeat(spot.astype(np.uint8)[..., None], 3, axis=-1)

    def log(view: RerunView) -> None:
        view.rig(Rig({"front": mounted}))
        view.image(CameraFrame("front", STAMP, image))

    recording = logged(log)
    shown = recording.image(f"{BASE}/camera/front/image", STAMP).mean(axis=-1)
    weights = np.where(shown > 60, shown, 0.0)
    found = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    assert projected(recording, "front", point) == pytest.approx(found + 0.5, abs=0.4)


def test_an_image_of_another_size_is_refused(logged: Logged, rig: Rig) -> None:
    def log(view: RerunView) -> None:
        view.rig(rig)
        with pytest.raises(CalibrationError, match=r"'front'.*8x4 pixels.*CameraInfo"):
            view.image(CameraFrame("front", STAMP, np.zeros((4, 8, 3), np.uint8)))

    logged(log)


def test_images_without_calibration_are_shown_as_they_are(logged: Logged) -> None:
    image = np.full((16, 24, 3), (200, 100, 40), np.uint8)
    recording = logged(lambda view: view.image(CameraFrame("a b/c", STAMP, image)))
    shown = recording.image(rf"{BASE}/camera/a\ b\/c/image", STAMP)
    assert np.abs(shown.astype(int) - image).max() <= 4


def test_boxes_have_the_corners_of_the_objects(logged: Logged) -> None:
    boxes = [car(7), car(8, yaw=-2.0, score=0.75)]
    recording = logged(lambda view: view.boxes(STAMP, boxes, "predicted"))
    path = f"{BASE}/predicted/boxes"
    signs = np.array([[x, y, z] for z in (-1, 1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))])
    rows = zip(
        boxes,
        recording.array(path, "Boxes3D:centers", STAMP),
        recording.array(path, "Boxes3D:half_sizes", STAMP),
        recording.array(path, "Boxes3D:quaternions", STAMP),
    )
    for box, center, half, quaternion in rows:
        pose = RigidTransform.from_quaternion(quaternion.astype(float), center.astype(float))
        assert pose.apply(signs * half) == pytest.approx(box.corners, abs=1e-4)
    assert recording.values(path, "Boxes3D:labels", STAMP) == ["car 7", "car 8 0.75"]


def test_velocities_are_arrows_from_the_centres_of_what_moves(logged: Logged) -> None:
    moving = car(velocity=np.array([3.0, -1.0, 0.0]))
    unknown = car(8, velocity=np.full(3, np.nan))
    recording = logged(lambda view: view.boxes(STAMP, [car(9), unknown, moving], "truth"))
    path = f"{BASE}/truth/velocities"
    assert recording.array(path, "Arrows3D:vectors", STAMP) == pytest.approx(np.array([[3, -1, 0]]))
    assert recording.array(path, "Arrows3D:origins", STAMP)[0] == pytest.approx(moving.center)


def test_objects_of_the_moment_before_are_gone(logged: Logged) -> None:
    def log(view: RerunView) -> None:
        view.boxes(STAMP, [car()], "truth")
        view.boxes(STAMP + SECOND, [], "truth")

    recording = logged(log)
    for entity, component in (
        (f"{BASE}/truth/boxes", "Boxes3D:half_sizes"),
        ("/bev/truth", "LineStrips2D:strips"),
    ):
        assert len(recording.values(entity, component, STAMP)) > 0
        assert recording.values(entity, component, STAMP + SECOND) == []


def values_with_marks() -> np.ndarray:
    """Free, but cell (0, 0) occupied, cell (3, 17) occupied and the last row unknown."""
    values = np.zeros(GRID.shape, np.int8)
    values[0, 0] = values[3, 17] = 100
    values[-1, :] = -1
    return values


@pytest.mark.parametrize("name", ["occupancy", "probability"])
def test_cells_lie_on_the_ground_where_the_grid_says(logged: Logged, name: str) -> None:
    values = values_with_marks()
    recording = logged(lambda view: getattr(view, name)(STAMP, GRID, values))
    path = f"{BASE}/ground/{name}"
    colors = recording.grid_colors(path, STAMP)
    cell = float(recording.array(path, "GridMap:cell_size", STAMP)[0])
    origin = recording.array(path, "GridMap:translation", STAMP)[0]
    assert origin == pytest.approx((GRID.x_min, GRID.y_min, 0.0))
    top = probability_colors(np.ones((1, 1)))[0, 0] if name == "probability" else VEHICLE_FILL
    rows, columns = np.nonzero((colors == top).all(axis=-1))
    # A grid map's translation is its lower left corner; the image's first row is on top.
    x = origin[0] + (columns + 0.5) * cell
    y = origin[1] + (len(colors) - rows - 0.5) * cell
    found = np.stack([x, y], axis=-1)[np.argsort(x)]
    assert found == pytest.approx(GRID.cell_centers[[0, 3], [0, 17]])
    assert (colors[0] == UNKNOWN_LIGHT).all()
    assert (colors[1, 0] == probability_colors(np.zeros((1, 1)))[0, 0]).all()


def test_the_ground_is_level_where_the_pose_is_known(logged: Logged) -> None:
    recording = logged(lambda view: view.pose(STAMP, TILTED))
    world_T_ground = recording.transform(BASE, STAMP) @ recording.transform(f"{BASE}/ground", STAMP)
    assert world_T_ground.rotate([0.0, 0.0, 1.0]) == pytest.approx((0.0, 0.0, 1.0), abs=1e-5)
    assert world_T_ground.yaw == pytest.approx(TILTED.yaw, abs=1e-5)
    assert recording.transform(BASE, STAMP).is_close(TILTED, 1e-5, 1e-5)


def test_the_picture_from_above_has_forward_up_and_outlines_on_its_cells(logged: Logged) -> None:
    """A box of one cell lies on the pixel of that cell."""
    values = values_with_marks()
    x, y = GRID.cell_centers[3, 17]
    one_cell = ObjectBox(
        "unknown", 1, RigidTransform.from_euler(translation=(x, y, 0.5)), np.array([0.5, 0.5, 1.0])
    )

    def log(view: RerunView) -> None:
        view.probability(STAMP, GRID, values)
        view.boxes(STAMP, [one_cell], "predicted")

    recording = logged(log)
    picture = recording.image("/bev/probability", STAMP)
    assert picture.shape == (GRID.num_x, GRID.num_y, 3)
    row, column = GRID.num_x - 1 - 17, GRID.num_y - 1 - 3
    assert (picture[row, column] == probability_colors(np.ones((1, 1)))[0, 0]).all()
    outline, stroke = recording.values("/bev/predicted", "LineStrips2D:strips", STAMP)
    assert np.min(outline, axis=0) == pytest.approx((column, row))
    assert np.max(outline, axis=0) == pytest.approx((column + 1, row + 1))
    assert stroke[1] == pytest.approx((column + 0.5, row)), "its front is up"


def test_objects_beyond_the_grid_do_not_stretch_the_picture(logged: Logged) -> None:
    far = car(pose=RigidTransform.from_euler(translation=(300.0, 0.0, 0.0)))
    recording = logged(lambda view: view.boxes(STAMP, [far], "truth"))
    assert recording.values("/bev/truth", "LineStrips2D:strips", STAMP) == []


def test_centres_are_coloured_by_score(logged: Logged) -> None:
    points, scores = np.array([[1.0, 2.0, 0.5], [3.0, 4.0, 0.5]]), np.array([0.2, 0.9])
    recording = logged(lambda view: view.centers(STAMP, points, scores, np.array([3, 4])))
    path = f"{BASE}/predicted/centers"
    assert recording.array(path, "Points3D:positions", STAMP) == pytest.approx(points)
    rgba = recording.array(path, "Points3D:colors", STAMP)
    red_green_blue = np.stack([rgba >> shift & 255 for shift in (24, 16, 8)], axis=-1)
    assert (red_green_blue == probability_colors(scores[None])[0]).all()


def test_latencies_are_at_their_stamps(logged: Logged) -> None:
    recording = logged(lambda view: view.latency(STAMP, "engine", 41.5))
    assert recording.values("/latency/engine", "Scalars:scalars", STAMP) == [41.5]


def test_reports_are_told_when_they_change_in_more_than_figures(logged: Logged) -> None:
    lines = [(0, "10.1 images per second"), (0, "9.9 images per second"), (2, "stopped 3 s ago")]

    def log(view: RerunView) -> None:
        for index, (level, message) in enumerate(lines):
            view.report(STAMP + index * SECOND, level, "bev: camera front", message)

    recording = logged(log)
    path = r"/log/bev\:\ camera\ front"
    assert recording.stamps(path) == [STAMP, STAMP + 2 * SECOND]
    assert recording.values(path, "TextLog:level", STAMP + 2 * SECOND) == ["ERROR"]
    assert recording.values(path, "TextLog:text", STAMP + 2 * SECOND) == ["stopped 3 s ago"]


def test_nothing_is_written_beside_the_file(logged: Logged, tmp_path: Path) -> None:
    logged(lambda view: view.pose(STAMP, TILTED))
    assert os.listdir(tmp_path) == ["view.rrd"]
