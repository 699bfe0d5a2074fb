# SPDX-License-Identifier: Apache-2.0
"""Learning beside labels: what is guessed, what is mixed, what must not be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_boxes import MODEL, a_config, tensors, write_bag

from bev_perception.datasets.preparation import ExtractionSettings, prepare_bags
from bev_perception.errors import BagError, ConfigurationError
from bev_perception.model import Segnet, SegnetOutput, load_weights
from bev_perception.training import DataConfig, TrainConfig
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.batch import collate
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.semi_supervised.config import METHODS, SemiSupervisedConfig
from bev_perception.training.semi_supervised.labels import TaughtCells
from bev_perception.training.semi_supervised.mixing import Mix, bev_features, drawn_mix
from bev_perception.training.semi_supervised.module import SemiSupervisedModule
from bev_perception.training.semi_supervised.teacher import Teacher
from bev_perception.training.semi_supervised.turn_task import TurnTask
from bev_perception.training.semi_supervised.unlabelled_data import (
    SemiSupervisedDataset,
    collate_semi_supervised,
)
from bev_perception.training.train import train
from bev_perception.training.views import ViewConfig

GUESSING = [method for method in METHODS if SemiSupervisedConfig(method).uses_unlabelled]


@pytest.fixture(scope="module")
def prepared(bags, cache):
    return prepare_bags(bags, cache, ExtractionSettings(MODEL.image_size), show_progress=False)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A bag without any label."""
    return write_bag(tmp_path_factory.mktemp("unlabelled") / "recording", 3, 5, labelled=False)


def moments(prepared, method, weak=None, **settings):
    """What training by a method sees: labels from the first bag, images from the second."""
    weak = weak or AugmentationConfig()
    labelled = SegnetDataset(prepared[:1], MODEL, augmentation=weak)
    config = SemiSupervisedConfig(method, **settings)
    return SemiSupervisedDataset(labelled, prepared[1:], config, MODEL, weak, seed=3)


@pytest.mark.parametrize("squared", [False, True])
def test_what_is_mixed_with_labels_agrees_with_them(prepared, squared, monkeypatch):
    """A network at the optimum of the labels' loss, and a teacher like it, have come to rest."""
    config = TrainConfig(model=MODEL, semi_supervised=SemiSupervisedConfig("mixmatch"))
    module = SemiSupervisedModule(Segnet(MODEL), config)
    data = moments(prepared, "mixmatch")
    batch = collate_semi_supervised([data[0, 0], data[0, 0]]).to("cpu")
    batch.labelled.valid.fill_(1.0)
    rate = batch.labelled.segmentation.mean(dim=(1, 2, 3))
    assert rate[0] == rate[1] > 0.0
    odds = config.losses.positive_weight * rate[0] / (1.0 - rate[0])
    network = torch.logit(odds / (1.0 + odds)).requires_grad_()

    def decode(bev, with_feature):
        shape = len(bev), 1, *MODEL.grid.shape
        nothing = torch.zeros(len(bev), 2, *MODEL.grid.shape)
        return SegnetOutput(bev, None, network.expand(shape), nothing[:, :1], nothing)

    monkeypatch.setattr(module.model, "decode", decode)
    features = [torch.randn(2, MODEL.latent_dim, *MODEL.grid.shape) for _ in range(3)]
    answer = network.detach().sigmoid().expand(2, 1, *MODEL.grid.shape)
    plane = torch.zeros_like(answer)
    guess = TaughtCells(answer, torch.ones_like(answer), plane, torch.cat([plane, plane], 1))
    partners = torch.tensor([1, 2, 0, 4, 5, 3])  # labels with labels and guesses, and the reverse
    monkeypatch.setattr(module, "_mix", lambda *given, **named: Mix(0.7, partners))
    _, losses = module._mixed(batch, features, [guess, guess], squared)
    for name in ("total", "unlabelled"):
        (slope,) = torch.autograd.grad(losses[name], network, retain_graph=True)
        assert abs(float(slope)) < 1e-6, name


@pytest.mark.parametrize("method", GUESSING)
def test_teacher_and_student_are_taught_on_the_same_cells(prepared, method):
    """The white boxes lie in the same cells for both, however images are varied.

    A network that only marks bright features in the bird's-eye view must mark the same side.
    """
    grey_levels = dict(brightness=0.0, contrast=0.0, gamma=0.0, tint=0.0)
    views = ViewConfig(turn_deg=3.0, roll_deg=2.0, zoom=0.1, shift=0.05)
    strong = AugmentationConfig(views=views, camera_dropout=0.3, **grey_levels)
    weak = AugmentationConfig(mirror=True, turn_steps=4, **grey_levels)
    data = moments(prepared, method, weak, strong=strong)
    for position in range(12):
        example = data.unlabelled_example(position, 0)
        sights = (*example.weak, *example.strong)
        maps = [brightness(sight) for sight in sights]
        for other in maps[1:]:
            both = np.isfinite(maps[0]) & np.isfinite(other)
            assert np.corrcoef(maps[0][both], other[both])[0, 1] > 0.6


@pytest.mark.parametrize(
    ("method", "num_weak", "num_strong"),
    [("mixmatch", 3, 0), ("remixmatch", 1, 3), ("fixmatch", 1, 1)],
)
def test_every_variation_of_a_moment_is_drawn_anew(prepared, method, num_weak, num_strong):
    example = moments(prepared, method, copies=3).unlabelled_example(0, 0)
    assert (len(example.weak), len(example.strong)) == (num_weak, num_strong)
    images = [sight.images.tobytes() for sight in (*example.weak, *example.strong)]
    assert len(set(images)) == len(images)


def test_cameras_are_lost_in_strong_variations_alone(prepared):
    """By default, and whatever the run's own augmentation does with labelled samples."""
    own = AugmentationConfig(camera_dropout=0.5)
    data = moments(prepared, "remixmatch", own, turn_weight=0.5)
    examples = [data.unlabelled_example(position, 0) for position in range(24)]
    weak, one, other = zip(*((*example.weak, *example.strong) for example in examples))
    assert all(sight.images.any(axis=(1, 2, 3)).all() for sight in weak)
    whole = np.mean([sight.taps.seen for sight in weak])
    for variations in (one, other, [example.turned[0] for example in examples]):
        lost = [sight for sight in variations if not sight.images.any(axis=(1, 2, 3)).all()]
        assert 0.05 < len(lost) / len(examples) < 0.6
        assert all(sight.taps.seen.mean() < 0.7 * whole for sight in lost), "they see nothing"


def brightness(sight):
    """(Y, X) mean of the lifted grey levels, ranked; NaN where no camera looks."""
    from bev_perception.model.lift import lift

    grey = torch.from_numpy(sight.images.astype(np.float32)).mean(-1)[None, :, None]
    cells = torch.nn.functional.avg_pool2d(grey.flatten(0, 1), 8).unflatten(0, grey.shape[:2])
    levels = lift(cells, sight.taps)[0].amax(dim=0).numpy()
    return np.where(sight.taps.seen, levels, np.nan)


def test_boxes_of_samples_without_labels_are_never_looked_at(prepared, monkeypatch):
    data = moments(prepared, "remixmatch")
    expected = data[(0, 7)].unlabelled[0]
    labels = {name for name in prepared[1]._labels if name.startswith("box_")}
    assert len(labels) > 5
    without = {name: rows for name, rows in prepared[1]._labels.items() if name not in labels}
    monkeypatch.setattr(prepared[1], "_labels", without)
    found = data[(0, 7)].unlabelled[0]
    for one, other in zip((*expected.weak, *expected.strong), (*found.weak, *found.strong)):
        assert np.array_equal(one.images, other.images)


def test_a_position_decides_everything_that_is_drawn(prepared):
    one, again = moments(prepared, "fixmatch")[(1, 5)], moments(prepared, "fixmatch")[(1, 5)]
    other = moments(prepared, "fixmatch")[(1, 6)]
    image = one.unlabelled[0].strong[0].images
    assert np.array_equal(image, again.unlabelled[0].strong[0].images)
    assert not np.array_equal(image, other.unlabelled[0].strong[0].images)


def test_features_of_several_batches_are_those_of_each(prepared):
    """Encoding together must not mix up whose images are whose."""
    torch.manual_seed(0)
    model = Segnet(MODEL).eval()
    data = moments(prepared, "mixmatch", ratio=2)
    batch = collate_semi_supervised([data[(0, 0)], data[(1, 1)]])
    parts = [batch.labelled, *batch.weak]
    for part, found in zip(parts, bev_features(model, parts)):
        expected = model.lift(model.encode(part.images), part.taps)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_mix_of_a_moment_with_itself_is_the_moment():
    random = np.random.default_rng(0)
    bev = torch.randn(3, 2, 4, 4)
    mix = drawn_mix(3, 0.75, random, mostly_own=True)
    assert 0.5 <= mix.share <= 1.0
    mixed = mix.of(bev)
    expected = mix.share * bev + (1 - mix.share) * bev[mix.partners]
    torch.testing.assert_close(mixed, expected)
    alone = replace(mix, share=1.0)
    torch.testing.assert_close(alone.of(bev), bev)


def test_a_teacher_follows_and_never_learns(prepared):
    torch.manual_seed(0)
    student = Segnet(MODEL)
    teacher = Teacher(student, decay=0.9)
    batch = collate([SegnetDataset(prepared[:1], MODEL)[0]])
    data = moments(prepared, "fixmatch")
    weak = collate_semi_supervised([data[(0, 0)]]).weak
    before = teacher.guess(weak)
    assert not before.segmentation.requires_grad
    assert not any(weight.requires_grad for weight in teacher.parameters())
    student(batch.images, batch.taps).segmentation.sum().backward()
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(0.1)
    torch.testing.assert_close(teacher.guess(weak).segmentation, before.segmentation)
    for _ in range(100):
        teacher.follow(student)
    student.eval()
    expected = student(weak[0].images, weak[0].taps).segmentation.sigmoid()
    torch.testing.assert_close(teacher.guess(weak).segmentation, expected, rtol=1e-3, atol=1e-4)


def a_run(out, bags, cache, method, recording, **changes):
    config = a_config(out, bags, cache, **changes)
    settings = SemiSupervisedConfig(method, ramp_steps=2)
    data = replace(config.data, unlabelled=(recording,) if settings.uses_unlabelled else ())
    return replace(config, data=data, semi_supervised=settings)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "none"])
def test_every_method_trains(tmp_path, bags, cache, recording, method):
    config = a_run(tmp_path, bags, cache, method, recording, max_steps=3)
    if method == "remixmatch":
        settings = replace(config.semi_supervised, turn_weight=0.5)
        config = replace(config, semi_supervised=settings)
    _, metadata = load_weights(train(config, show_progress=False).weights)
    assert metadata["recipe"]["semi_supervised"]["method"] == method
    expected = {"bags": ["one", "recording"], "sets": 6} if method in GUESSING else None
    assert metadata["data"].get("unlabelled") == expected


def test_a_turned_variation_is_the_moment_all_around_turned_by_what_is_asked(prepared):
    nothing = AugmentationConfig(mirror=False, brightness=0, contrast=0, gamma=0, tint=0)
    data = moments(prepared, "remixmatch", nothing, turn_weight=0.5, strong=nothing)
    asked = set()
    for position in range(12):
        example = data.unlabelled_example(position, 0)
        sight, quarters = example.turned
        np.testing.assert_array_equal(sight.images, example.strong[0].images)
        stood = example.strong[0].taps.seen  # a grid whose rows grow with y turns from x to y
        np.testing.assert_array_equal(sight.taps.seen, np.rot90(stood, quarters, (1, 0)))
        asked.add(quarters)
    assert asked == {0, 1, 2, 3}
    assert not np.array_equal(stood, np.rot90(stood)), "seen alike from all sides: a weak test"
    told = collate_semi_supervised([data[index, index] for index in (0, 1)]).to("cpu").turned
    assert len(told.sights.images) == len(told.quarters) == 2
    plain = moments(prepared, "remixmatch", nothing, strong=nothing)
    assert collate_semi_supervised([plain[0, 0]]).turned is None


def test_the_turn_of_vehicles_can_be_learned_without_any_label():
    torch.manual_seed(0)
    model, task = Segnet(MODEL), TurnTask(MODEL)
    one = torch.randn(MODEL.latent_dim, *MODEL.grid.shape)
    quarters = torch.arange(8) % 4
    bev = torch.stack([one.rot90(int(quarter), (-1, -2)) for quarter in quarters])
    optimiser = torch.optim.AdamW([*model.decoder.parameters(), *task.parameters()], lr=1e-2)
    losses = []
    for _ in range(30):
        loss = task(model, bev, quarters)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 1.2, "it knew before"
    assert losses[-1] < 0.3


def test_a_run_with_a_teacher_resumes_exactly(tmp_path, bags, cache, recording):
    whole, parts = (
        a_run(tmp_path / name, bags, cache, "remixmatch", recording, max_steps=4)
        for name in ("whole", "parts")
    )
    expected = tensors(train(whole, show_progress=False).weights)
    assert train(replace(parts, max_minutes=1e-6), show_progress=False).steps == 1
    resumed = train(replace(parts, resume=True), show_progress=False)
    for name, value in tensors(resumed.weights).items():
        assert torch.equal(value, expected[name]), name


def test_bags_without_labels_are_refused_where_labels_are_needed(tmp_path, cache, recording):
    with pytest.raises(BagError, match="no camera set with labels"):
        prepare_bags(
            [recording], tmp_path, ExtractionSettings(MODEL.image_size), show_progress=False
        )


def test_settings_that_contradict_each_other_are_refused(tmp_path, recording):
    data = DataConfig(train=(tmp_path / "a",), unlabelled=(recording,))
    with pytest.raises(ConfigurationError, match="learns from labels alone"):
        TrainConfig(data=data)
    with pytest.raises(ConfigurationError, match="unknown method 'fixmath'"):
        SemiSupervisedConfig("fixmath")
    with pytest.raises(ConfigurationError, match="free_threshold must be less"):
        SemiSupervisedConfig("fixmatch", free_threshold=0.8)
    with pytest.raises(ConfigurationError, match=r"turn_weight 0.5 is remixmatch's"):
        SemiSupervisedConfig("fixmatch", turn_weight=0.5)
    with pytest.raises(ConfigurationError, match=r"set losses.focal 1 and dice 0.5 to 0"):
        TrainConfig(
            semi_supervised=SemiSupervisedConfig("mixmatch"),
            losses=LossConfig(focal=1.0, dice=0.5),
        )
    asked = SemiSupervisedConfig("remixmatch", turn_weight=0.5)
    with pytest.raises(ConfigurationError, match=r"turn_steps 8 turns them unsaid"):
        TrainConfig(semi_supervised=asked, augmentation=AugmentationConfig(turn_steps=8))
