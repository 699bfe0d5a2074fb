# SPDX-License-Identifier: Apache-2.0
"""A temperature is found again, and makes probabilities true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bev_perception.errors import BevError
from bev_perception.evaluation.calibration_error import reliability
from bev_perception.evaluation.probability_histogram import ProbabilityHistogram
from bev_perception.evaluation.temperature import (
    LogitHistogram,
    error_after,
    fit_temperature,
)


def sigmoid(logits):
    return 1.0 / (1.0 + np.exp(-logits))


def labelled_logits(temperature, bias=0.0, count=200_000):
    """Logits whose truth follows sigmoid((logit + bias) / temperature)."""
    random = np.random.default_rng(4)
    logits = random.normal(-2.0, 3.0, count)
    return logits, random.random(count) < sigmoid((logits + bias) / temperature)


def collected(logits, truth, counted=None):
    metric = LogitHistogram()
    counted = np.ones(len(logits), dtype=bool) if counted is None else counted
    metric.update(*map(torch.from_numpy, (logits, truth, counted)))
    return metric


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_data_is_found(temperature):
    logits, truth = labelled_logits(temperature)
    fitted = fit_temperature(collected(logits, truth))
    assert fitted.temperature == pytest.approx(temperature, rel=0.02)
    assert fitted.nll_after <= fitted.nll_before
    said = ProbabilityHistogram()
    probability = torch.from_numpy(sigmoid(logits / fitted.temperature))
    said.update(probability, torch.from_numpy(truth), torch.ones(len(truth)))
    assert reliability(said).expected_error < 0.005


def test_its_likelihood_equals_that_of_the_single_cells_and_no_other_is_better():
    logits, truth = labelled_logits(2.0, count=20_000)
    fitted = fit_temperature(collected(logits, truth))

    def nll(temperature):
        margins = np.where(truth, logits, -logits).clip(-16, 16) / temperature
        return np.logaddexp(0.0, -margins).mean()

    assert fitted.nll_before == pytest.approx(nll(1.0), rel=1e-5)
    assert fitted.nll_after == pytest.approx(nll(fitted.temperature), rel=1e-5)
    assert fitted.nll_after < min(nll(0.98 * fitted.temperature), nll(1.02 * fitted.temperature))


def test_a_shift_of_all_logits_needs_the_bias():
    logits, truth = labelled_logits(1.5, bias=-0.8)
    alone = fit_temperature(collected(logits, truth))
    both = fit_temperature(collected(logits, truth), "likelihood")
    assert (both.temperature, both.bias) == pytest.approx((1.5, -0.8), rel=0.03)
    assert both.nll_after < alone.nll_after
    assert alone.bias == 0.0


def test_no_other_bias_decides_better_at_one_half():
    logits, truth = labelled_logits(1.5, bias=-0.8, count=20_000)
    fitted = fit_temperature(collected(logits, truth), "decision")

    def iou(bias):
        said = logits + bias > 0.0
        return (said & truth).sum() / (said | truth).sum()

    best = max(iou(bias) for bias in np.linspace(-4.0, 4.0, 801))
    assert iou(fitted.bias) == pytest.approx(best, abs=1e-3)
    assert iou(fitted.bias) > iou(-0.8) + 0.01, "a true half is no good place to decide at"
    assert fit_temperature(collected(logits, truth), "likelihood").nll_after < fitted.nll_after


def test_cells_that_do_not_count_change_nothing():
    logits, truth = labelled_logits(2.0, count=20_000)
    counted = np.arange(len(logits)) < 10_000
    wrong = np.where(counted, truth, ~truth)
    part = fit_temperature(collected(logits, wrong, counted))
    assert part == fit_temperature(collected(logits[:10_000], truth[:10_000]))


def test_one_class_alone_is_refused():
    with pytest.raises(BevError, match="free and occupied cells, got 100 and 0"):
        fit_temperature(collected(np.zeros(100), np.zeros(100, dtype=bool)))


def test_the_error_after_a_temperature_is_that_of_the_divided_logits():
    random = np.random.default_rng(4)
    logits = torch.from_numpy(random.normal(0.0, 3.0, 50_000))
    truth = torch.from_numpy(random.random(50_000) < torch.sigmoid(logits / 2.0).numpy())
    counted = torch.ones(50_000)
    histogram = LogitHistogram()
    histogram.update(logits, truth, counted)
    fitted = fit_temperature(histogram)
    told = ProbabilityHistogram()
    told.update(torch.sigmoid(logits / fitted.temperature), truth, counted)
    assert fitted.temperature == pytest.approx(2.0, abs=0.05)
    expected = reliability(told).expected_error
    assert error_after(histogram, fitted) == pytest.approx(expected, abs=2e-4)
    assert error_after(histogram, fitted) < 0.01
    untouched = replace(fitted, temperature=1.0)
    assert error_after(histogram, untouched) > 0.05
