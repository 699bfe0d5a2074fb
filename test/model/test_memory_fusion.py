# SPDX-License-Identifier: Apache-2.0
"""What a network remembers stays at its place on the ground while the vehicle drives and turns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_samples import GRID, at, blob, memory_config, place_of, rigid
from segnet_samples import random_images, ring_rig

from bev_perception.geometry.planar import EgoMoment
from bev_perception.model import Segnet, SegnetConfig, build_lift_geometry, build_tap_table
from bev_perception.model.alignment import aligned
from bev_perception.model.feature_memory import FeatureMemory, GroundState, MemoryStep, QueueState
from bev_perception.model.gru_fusion import GruFusion
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.lift_config import LIFTS, LiftSettings
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.queue_fusion import QueueFusion
from bev_perception.model.segnet import with_memory

EVERYWHERE = torch.ones(1, 1, *GRID.shape, dtype=torch.bool)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(S, H, W, 3) to a batch of one, (1, S, 3, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)[None]


def curve(count: int = 25) -> list[EgoMoment]:
    """A drive around a bend at 10 Hz that begins somewhere in the world."""
    moments, x, y, yaw = [], 130.0, -70.0, 2.5
    for index in range(count):
        moments.append(at(3.0 + 0.1 * index, x, y, yaw))
        x, y, yaw = x + 0.3 * math.cos(yaw), y + 0.3 * math.sin(yaw), yaw + 0.05
    return moments


def in_view(start: EgoMoment, now: EgoMoment, x: float, y: float) -> np.ndarray:
    """Where a point of the first moment's frame lies now, moved in three dimensions."""
    moved = rigid(now.world_T_level).inverse() @ rigid(start.world_T_level)
    return moved.apply(np.array([x, y, 0.0]))[:2]


def test_a_thing_seen_once_stays_at_its_place_in_the_queue() -> None:
    config = memory_config("queue", interval_s=60.0, time_slots=1, distance_slots=0)
    fusion, memory = QueueFusion(config).eval(), FeatureMemory(config.memory)
    moments = curve()
    for index, moment in enumerate(moments):
        state, _ = memory.begin(moment)
        assert isinstance(state, QueueState)
        if index:
            recalled, _ = fusion._recalled(
                blob(0, 0), MemoryStep([memory], [moment]), [(state, memory._kinematics)]
            )
            expected = in_view(moments[0], moment, 6.0, 2.0)
            assert place_of(recalled[0][0, 0]) == pytest.approx(tuple(expected), abs=0.02)
        fusion(blob(6.0, 2.0) * (index == 0), MemoryStep([memory], [moment]), EVERYWHERE)


def obedient_gru(config: SegnetConfig) -> GruFusion:
    """Writes tanh of channel 0 where that is large, and leaves the rest as it is."""
    fusion = GruFusion(config).eval()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.zero_()
        latent = config.latent_dim
        fusion.gates.weight[latent:, 0, 1, 1] = 200.0
        fusion.gates.bias[latent:] = -20.0
        fusion.candidate.weight[:, 0, 1, 1] = 1.0
    return fusion


def test_a_thing_seen_once_stays_at_its_place_in_the_recurrent_state() -> None:
    config = memory_config("gru", anchor_m=2.0)
    fusion, memory = obedient_gru(config), FeatureMemory(config.memory)
    moments = curve()
    for index, moment in enumerate(moments):
        with torch.no_grad():
            fusion(blob(6.0, 2.0) * (index == 0), MemoryStep([memory], [moment]), EVERYWHERE)
        state = memory._now
        assert isinstance(state, GroundState)
        assert state.values is not None
        motion = state.world_T_anchor.inverse() @ moment.world_T_level
        here = aligned(state.values[None], [motion], GRID)[0, 0]
        expected = in_view(moments[0], moment, 6.0, 2.0)
        assert place_of(here) == pytest.approx(tuple(expected), abs=0.1)
        if index == 0:
            height = float(here.max())
    # Many sets later it is still about as high: only new anchors have blurred it.
    assert float(here.max()) > 0.8 * height


def test_what_the_gate_leaves_alone_is_not_blurred_by_driving() -> None:
    config = memory_config("gru", anchor_m=50.0, anchor_deg=179.0)
    fusion, memory = obedient_gru(config), FeatureMemory(config.memory)
    with torch.no_grad():
        fusion.gates.bias[config.latent_dim :] = -200.0  # closed, but for what is very strong
    moments = curve()
    values = []
    for index, moment in enumerate(moments[:12]):
        with torch.no_grad():
            fusion(3.0 * blob(6.0, 2.0) * (index == 0), MemoryStep([memory], [moment]), EVERYWHERE)
        values.append(memory._now.values[:-1])
    assert values[0].abs().max() > 0.9
    torch.testing.assert_close(values[1], values[-1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_sets_between_two_beats_use_the_memory_and_leave_it(kind: str) -> None:
    """At five times the rate of training the same sets are remembered, and nothing between."""
    config = memory_config(
        kind, interval_s=0.5, state_interval_s=0.5, distance_slots=0, anchor_m=99.0
    )
    torch.manual_seed(0)
    fusion = (QueueFusion if kind == "queue" else GruFusion)(config).eval()
    torch.nn.init.normal_(fusion.to_bev.weight)
    slow, quick = FeatureMemory(config.memory), FeatureMemory(config.memory)
    random = np.random.default_rng(0)
    for index in range(26):
        seconds = 0.1 * index + random.uniform(-0.01, 0.01)
        moment, bev = at(seconds, x=8.0 * seconds), torch.randn(1, 4, *GRID.shape)
        with torch.no_grad():
            found = fusion(bev, MemoryStep([quick], [moment]), EVERYWHERE)
            if index % 5 == 0:
                expected = fusion(bev, MemoryStep([slow], [moment]), EVERYWHERE)
                held = held_by(quick)
            alone = fusion(bev, MemoryStep.nothing(1, config.memory), EVERYWHERE)
        assert held_by(quick) == held
        if index == 5:
            assert not torch.equal(found, alone)
        if index % 5 == 0:
            assert held_by(slow) == held
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)


def held_by(memory: FeatureMemory) -> list[float]:
    """Sums that tell whether a memory has changed."""
    state = memory._now
    if isinstance(state, GroundState):
        return [float(state.values.double().abs().sum())]
    return [float(entry.feature.double().abs().sum()) for entry in state.by_time]


def test_a_feature_that_has_waited_long_says_no_more_than_one_of_the_greatest_age() -> None:
    """Standing at a light does not change the answer from max_age_s on."""
    config = memory_config("queue", max_age_s=5.0, time_slots=0, max_gap_s=1000.0)
    torch.manual_seed(0)
    fusion, memory = QueueFusion(config).eval(), FeatureMemory(config.memory)
    torch.nn.init.normal_(fusion.to_bev.weight)
    bev = torch.randn(1, 4, *GRID.shape)
    answers = []
    for seconds in (0.0, 0.5, 1.0, 6.0, 6.5, 60.0, 60.5):
        with torch.no_grad():
            answers.append(fusion(bev, MemoryStep([memory], [at(seconds)]), EVERYWHERE))
    torch.testing.assert_close(answers[6], answers[4])
    assert (answers[4] - answers[2]).abs().max() > 1e-3


def test_the_state_changes_only_near_the_vehicle_and_where_cameras_look() -> None:
    config = memory_config("gru", reach_m=6.0)
    torch.manual_seed(0)
    fusion, memory = GruFusion(config).eval(), FeatureMemory(config.memory)
    seen = EVERYWHERE.clone()
    seen[..., :, 40:] = False
    with torch.no_grad():
        fusion(torch.randn(1, 4, *GRID.shape), MemoryStep([memory], [at(1.0)]), seen)
    changed = memory._now.values[:-1].abs().amax(0).numpy() > 1e-3
    near = np.linalg.norm(GRID.cell_centers, axis=-1) <= 6.0
    assert np.array_equal(changed, near & seen[0, 0].numpy())


@pytest.mark.parametrize("reach_m", [0.5, 4.0, 13.0, 15.5])
def test_only_what_is_near_is_computed_and_as_if_all_were(reach_m: float) -> None:
    config = memory_config("gru", reach_m=reach_m)
    torch.manual_seed(0)
    nearby, whole = GruFusion(config).eval(), GruFusion(config).eval()
    whole.load_state_dict(nearby.state_dict())
    torch.nn.init.normal_(nearby.to_bev.weight)
    whole.to_bev.weight = nearby.to_bev.weight
    whole.window = (slice(None), slice(None), *(slice(0, length) for length in GRID.shape))
    shapes = []
    nearby.gates.register_forward_hook(lambda _, args, out: shapes.append(out.shape[2:]))
    memories = FeatureMemory(config.memory), FeatureMemory(config.memory)
    with torch.no_grad():
        for moment in curve(6):
            bev = torch.randn(1, 4, *GRID.shape)
            answers = [
                fusion(bev, MemoryStep([memory], [moment]), EVERYWHERE)
                for fusion, memory in zip((nearby, whole), memories)
            ]
            torch.testing.assert_close(*answers)
    side = 2.0 * (reach_m / GRID.resolution + 2.0)  # two cells more on each side
    assert all(length <= side + 1.0 for length in shapes[0])


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_streams_of_a_batch_do_not_know_of_each_other(kind: str) -> None:
    torch.manual_seed(0)
    config = memory_config(kind)
    model = Segnet(config).eval()
    torch.nn.init.normal_(model.memory.to_bev.weight)
    drives = [curve(6), [at(5.0 + i, x=2.0 * i, yaw=-0.1 * i) for i in range(6)], [None] * 6]
    features = torch.randn(6, 3, 4, *GRID.shape)
    together = [FeatureMemory(config.memory) for _ in drives]
    alone = [FeatureMemory(config.memory) for _ in drives]
    with torch.no_grad():
        for index in range(6):
            moments = [drive[index] for drive in drives]
            every = model.memory(features[index], MemoryStep(together, moments), EVERYWHERE)
            for number, moment in enumerate(moments):
                step = MemoryStep([alone[number]], [moment])
                own = model.memory(features[index, number : number + 1], step, EVERYWHERE)
                torch.testing.assert_close(every[number], own[0], atol=1e-4, rtol=1e-4)
    assert not torch.equal(every[0], features[5, 0])


def test_without_memory_a_network_is_what_it_was() -> None:
    plain, off = memory_config("none"), memory_config("none", interval_s=0.1)
    torch.manual_seed(0)
    model = Segnet(off)
    assert "memory" not in off.to_dict()
    assert SegnetConfig.from_dict(off.to_dict()) == plain
    torch.manual_seed(0)
    with_memory = Segnet(memory_config("gru"))
    own = model.state_dict()
    # The weights that both have are drawn alike, and the memory's change nothing at first.
    assert all(torch.equal(own[name], with_memory.state_dict()[name]) for name in own)
    taps = build_tap_table(ring_rig(plain.image_size), plain)
    images = as_tensor(random_images(plain))
    with torch.no_grad():
        before, after = model.eval()(images, taps), with_memory.eval()(images, taps)
    assert before.velocity is None
    assert after.velocity is not None
    assert torch.equal(before.segmentation, after.segmentation)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_memory_survives_its_configuration_as_data(kind: str) -> None:
    config = memory_config(kind, interval_s=0.027, distance_m=1.0)
    assert SegnetConfig.from_dict(config.to_dict()) == config
    assert config.memory == MemoryConfig(kind, interval_s=0.027, distance_m=1.0)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_the_inference_form_remembers_as_the_network_does(kind: str) -> None:
    torch.manual_seed(0)
    config = memory_config(kind)
    model = Segnet(config).eval()
    torch.nn.init.normal_(model.memory.to_bev.weight)
    form = InferenceSegnet(model)
    form.cast("cpu", torch.float32)
    taps = build_tap_table(ring_rig(config.image_size), config)
    seen = torch.from_numpy(taps.seen)
    one, other = FeatureMemory(config.memory), FeatureMemory(config.memory)
    with torch.no_grad():
        for index, moment in enumerate(curve(5)):
            images = random_images(config, seed=index)
            output = model(as_tensor(images), taps, memory=MemoryStep([one], [moment]))
            plane = form.lift(form.encode(torch.from_numpy(images)), taps.forward)
            maps = form.decode(form.remember(plane, seen, MemoryStep([other], [moment])))
            wanted = torch.cat([output.segmentation[0], output.offset[0], output.velocity[0]])
            torch.testing.assert_close(maps[[0, 2, 3, 4, 5]], wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_the_gradient_of_a_later_set_reaches_what_was_stored_before(kind: str) -> None:
    torch.manual_seed(0)
    config = memory_config(kind)
    model = Segnet(config)
    torch.nn.init.normal_(model.memory.to_bev.weight)
    first = torch.randn(1, 4, *GRID.shape, requires_grad=True)
    memory = FeatureMemory(config.memory)
    model.memory(first, MemoryStep([memory], [at(1.0)]), EVERYWHERE)
    later = torch.randn(1, 4, *GRID.shape)
    fused = model.memory(later, MemoryStep([memory], [at(1.5, x=1.0)]), EVERYWHERE)
    (fused * torch.randn(fused.shape)).sum().backward()
    assert first.grad is not None
    assert first.grad.abs().mean() > 1e-4


def test_a_trained_network_gets_a_memory_that_changes_nothing_yet() -> None:
    torch.manual_seed(0)
    trained = Segnet(memory_config("none")).eval()
    remembering = with_memory(trained, MemoryConfig("queue")).eval()
    taps = build_tap_table(ring_rig(trained.config.image_size), trained.config)
    memory = FeatureMemory(remembering.config.memory)
    with torch.no_grad():
        for index, moment in enumerate(curve(3)):
            images = as_tensor(random_images(trained.config, seed=index))
            step = MemoryStep([memory], [moment])
            after = remembering(images, taps, memory=step)
            assert torch.equal(trained(images, taps).segmentation, after.segmentation)
    assert with_memory(trained, MemoryConfig()) is trained
    assert with_memory(remembering, MemoryConfig()).config == trained.config
    torch.nn.init.normal_(remembering.memory.to_bev.weight)
    for changes, is_kept in (({"max_gap_s": 1.0}, True), ({"time_slots": 3}, False)):
        other = with_memory(remembering, MemoryConfig("queue", **changes))
        learned = remembering.memory.to_bev.weight
        assert torch.equal(other.memory.to_bev.weight, learned) == is_kept
        assert other.memory.config == other.config.memory == MemoryConfig("queue", **changes)


@pytest.mark.parametrize("lift", LIFTS)
def test_every_lift_may_remember(lift: str) -> None:
    torch.manual_seed(0)
    config = replace(memory_config("gru"), lift=lift, lift_settings=LiftSettings(heads=2))
    model = Segnet(config).eval()
    torch.nn.init.normal_(model.memory.to_bev.weight)
    taps = build_lift_geometry(ring_rig(config.image_size), config)
    memory = FeatureMemory(config.memory)
    images = as_tensor(random_images(config))
    with torch.no_grad():
        answers = [
            model(images, taps, memory=MemoryStep([memory], [moment])).segmentation
            for moment in curve(3)
        ]
    assert memory.recalled
    assert not torch.equal(answers[0], answers[2])
