# SPDX-License-Identifier: Apache-2.0
"""The town: the same from the same seed, whole, connected, within its budget."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.convex_polygons import signed_area
from bev_perception.simulation.curves import Curve, rounded_corner
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.network import make_network
from bev_perception.simulation.polygons import points_in_polygon, triangulate
from bev_perception.simulation.scene import Material
from bev_perception.simulation.splits import SPLITS, split_of
from bev_perception.simulation.town import Town

SEEDS = (0, 1, 10_000, 11_007)


@pytest.fixture(scope="module", params=SEEDS)
def town(request: pytest.FixtureRequest) -> Town:
    return Town(request.param)


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = Town(7).static_mesh, Town(7).static_mesh
    for name in ("vertices", "normals", "colors", "materials", "faces"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_other_seeds_give_other_towns() -> None:
    shapes = {make_network(seed).junctions[0].center.tobytes() for seed in range(6)}
    assert len(shapes) == 6


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="-3"):
        Town(-3)


def test_mesh_stays_in_its_budget_with_valid_indices_and_types(town: Town) -> None:
    mesh = town.static_mesh
    assert 40_000 < len(mesh.faces) < 150_000
    assert mesh.faces.min() == 0
    assert mesh.faces.max() == len(mesh.vertices) - 1
    assert mesh.vertices.dtype == mesh.normals.dtype == mesh.colors.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    assert mesh.materials.dtype == np.uint8
    assert mesh.colors.min() >= 0.0
    assert mesh.colors.max() <= 1.0


def test_faces_wind_counter_clockwise_seen_from_where_their_normals_point(town: Town) -> None:
    mesh = town.static_mesh
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agreement = (across * mesh.normals[mesh.faces].sum(axis=1)).sum(axis=1)
    size = np.linalg.norm(across, axis=1)
    assert (agreement[size > 1e-4] > 0).mean() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)


def test_ground_has_no_holes_between_roads_and_blocks(town: Town) -> None:
    mesh = town.static_mesh
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    material = mesh.materials[mesh.faces[:, 0]]
    flat = np.ptp(corners[..., 2], axis=1) < 1e-4
    low = (corners[:, 0, 2] > -0.01) & (corners[:, 0, 2] < 0.14)
    kinds = (Material.ASPHALT, Material.PAVEMENT, Material.GRASS)
    ground = corners[flat & low & np.isin(material, kinds)][..., :2]  # (G, 3, 2)
    rng = np.random.default_rng(0)
    centers = np.array([j.center for j in town.network.junctions])
    points = rng.uniform(centers.min(axis=0), centers.max(axis=0), (300, 2))
    outer = next(block for block in town.blocks if block.is_outer)
    points = points[points_in_polygon(points, outer.kerb.points[:-1])]
    covered = [_inside_any_triangle(point, ground) for point in points]
    assert len(points) > 100
    assert all(covered)


def _inside_any_triangle(point: np.ndarray, triangles: np.ndarray) -> bool:
    edges = np.roll(triangles, -1, axis=1) - triangles
    to_point = point - triangles
    side = edges[..., 0] * to_point[..., 1] - edges[..., 1] * to_point[..., 0]
    return bool((side >= -1e-4).all(axis=1).any() or (side <= 1e-4).all(axis=1).any())


def test_land_reaches_the_horizon_below_everything(town: Town) -> None:
    vertices = town.static_mesh.vertices
    assert np.abs(vertices[:, :2]).max() >= 2000.0
    assert vertices[:, 2].min() == pytest.approx(-0.06, abs=1e-6)


def test_paint_lies_one_to_two_centimetres_above_the_asphalt(town: Town) -> None:
    mesh = town.static_mesh
    height = mesh.vertices[mesh.materials == Material.MARKING][:, 2]
    on_road = height[height < 0.1]
    assert len(on_road) > 1000
    assert on_road.min() >= 0.01
    assert on_road.max() <= 0.02


def test_no_building_stands_in_a_lane(town: Town) -> None:
    mesh = town.static_mesh
    walls = mesh.vertices[mesh.materials == Material.FACADE][:, :2]
    lanes = np.concatenate([s.curve.points for s in LaneGraph(town.network).segments])
    gap = min(np.hypot(*(lanes - wall).T).min() for wall in np.unique(walls, axis=0))
    assert gap > 3.0


def test_towns_have_bends_t_and_x_crossings_and_several_lane_counts() -> None:
    networks = [make_network(seed) for seed in range(8)]
    arms = {len(junction.arms) for network in networks for junction in network.junctions}
    lanes = {r.section.forward_lanes + r.section.backward_lanes for n in networks for r in n.roads}
    bends = [np.abs(r.line.curvature()).max() > 1 / 80 for n in networks for r in n.roads]
    assert arms >= {3, 4}
    assert lanes >= {2, 4}
    assert 0.1 < np.mean(bends) < 0.9


def test_lanes_and_connectors_join_without_gap_or_kink(town: Town) -> None:
    graph = LaneGraph(town.network)
    for segment in graph.segments:
        for following in segment.successors:
            ahead = graph.segments[following].curve
            assert np.linalg.norm(ahead.points[0] - segment.curve.points[-1]) < 0.01
            assert segment.curve.tangents[-1] @ ahead.tangents[0] > np.cos(np.radians(8.0))


def test_every_lane_leads_on_for_ever(town: Town) -> None:
    graph = LaneGraph(town.network)
    assert all(segment.successors for segment in graph.segments)


def test_traffic_drives_on_the_right(town: Town) -> None:
    graph = LaneGraph(town.network)
    for lane in graph.segments[: graph.num_lanes]:
        road = town.network.roads[lane.road]
        middle = lane.curve.at(lane.curve.length / 2)
        nearest = int(np.argmin(np.linalg.norm(road.line.points - middle, axis=1)))
        heading = lane.curve.tangent(lane.curve.length / 2)
        to_line = road.line.points[nearest] - middle
        assert heading[0] * to_line[1] - heading[1] * to_line[0] > 0  # centreline on the left


def test_ways_that_share_an_end_exclude_each_other_and_other_junctions_do_not() -> None:
    graph = LaneGraph(make_network(0))
    ways = graph.segments[graph.num_lanes :]
    for a, first in enumerate(ways):
        for b, second in enumerate(ways):
            if a == b or first.junction != second.junction:
                assert graph.clear_stations[a, b] == -np.inf
            elif first.successors == second.successors or first.predecessor == second.predecessor:
                assert graph.clear_stations[a, b] > 0.0


def test_splits_share_no_seed_and_unknown_seeds_are_refused() -> None:
    assert split_of(0) == split_of(9_999) == "train"
    assert split_of(10_000) == split_of(10_999) == "validation"
    assert split_of(11_000) == split_of(11_999) == "test"
    assert sum(map(len, SPLITS.values())) == 12_000
    with pytest.raises(ConfigurationError, match="12000"):
        split_of(12_000)


def test_triangulation_covers_a_concave_polygon_exactly() -> None:
    polygon = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], dtype=float)
    faces = triangulate(polygon)
    areas = [signed_area(polygon[face]) for face in faces]
    assert len(faces) == 3
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(signed_area(polygon))


def test_curve_stations_are_arc_length_and_offsets_are_to_the_left() -> None:
    angles = np.linspace(0.0, np.pi / 2, 200)
    curve = Curve(10.0 * np.column_stack([np.cos(angles), np.sin(angles)]))
    assert curve.length == pytest.approx(5.0 * np.pi, rel=1e-4)
    np.testing.assert_allclose(np.linalg.norm(curve.at(7.0, 2.0)), 8.0, atol=1e-3)
    np.testing.assert_allclose(curve.curvature()[50:150], 0.1, rtol=1e-3)


def test_rounded_corner_keeps_its_ends_and_directions() -> None:
    path = Curve(rounded_corner((0, 0), (1, 0), (10, 8), (0, 1), max_leg=5.0))
    np.testing.assert_allclose(path.points[[0, -1]], [(0, 0), (10, 8)], atol=1e-9)
    np.testing.assert_allclose(path.tangents[[0, -1]], [(1, 0), (0, 1)], atol=0.05)
    assert np.abs(path.curvature()).max() < 1.4 / 5.0
