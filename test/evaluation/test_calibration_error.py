# SPDX-License-Identifier: Apache-2.0
"""Reliability, calibration error and curves from one histogram of probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryCalibrationError
from torchmetrics.functional.classification import binary_average_precision

from bev_perception.evaluation.calibration_error import reliability
from bev_perception.evaluation.precision_recall import precision_recall
from bev_perception.evaluation.probability_histogram import NUM_BINS, ProbabilityHistogram


def histogram(probability, truth, counted=None):
    metric = ProbabilityHistogram()
    probability, truth = torch.as_tensor(probability), torch.as_tensor(truth)
    counted = torch.ones_like(truth, dtype=torch.bool) if counted is None else counted
    metric.update(probability, truth, counted)
    return metric


def cells(count=20000, seed=3):
    """Probabilities that say too much: cells are occupied in p^2 of the cases."""
    random = np.random.default_rng(seed)
    probability = random.random(count).astype(np.float32)
    return probability, random.random(count) < probability**2


def test_two_bins_by_hand():
    # Ten cells at 0.7 of which six are occupied, thirty at 0.02 of which none is.
    probability = torch.tensor([0.7] * 10 + [0.02] * 30)
    truth = torch.tensor([True] * 6 + [False] * 34)
    diagram = reliability(histogram(probability, truth))
    assert diagram.expected_error == pytest.approx(10 / 40 * 0.1 + 30 / 40 * 0.02)
    assert diagram.maximum_error == pytest.approx(0.1)
    assert diagram.open_error == pytest.approx(0.1)
    assert diagram.brier == pytest.approx((6 * 0.09 + 4 * 0.49 + 30 * 0.0004) / 40)
    assert diagram.cells[[0, 10]].tolist() == [30, 10]
    assert diagram.frequency[10] == pytest.approx(0.6)
    assert np.isnan(diagram.frequency[1])


def test_the_error_equals_torchmetrics_whatever_the_batches():
    probability, truth = cells()
    theirs = BinaryCalibrationError(n_bins=15, norm="l1")
    theirs.update(torch.from_numpy(probability), torch.from_numpy(truth).int())
    whole = reliability(histogram(probability, truth)).expected_error
    assert whole == pytest.approx(theirs.compute().item(), abs=1e-6)
    parts = ProbabilityHistogram()
    for part in range(4):
        of_part = slice(5000 * part, 5000 * (part + 1))
        parts.update(
            torch.from_numpy(probability[of_part]),
            torch.from_numpy(truth[of_part]),
            torch.ones(5000),
        )
    assert reliability(parts).expected_error == pytest.approx(whole)


def test_cells_that_do_not_count_leave_no_trace():
    probability, truth = torch.tensor([0.9, 0.2]), torch.tensor([True, True])
    found = histogram(probability, truth, torch.tensor([True, False]))
    assert found.cells.sum() == 1
    assert reliability(found).expected_error == pytest.approx(0.1)


def test_nothing_is_no_number():
    diagram = reliability(ProbabilityHistogram())
    assert math.isnan(diagram.expected_error)
    assert math.isnan(diagram.maximum_error)


def test_every_point_of_the_curves_equals_counting_cells():
    probability, truth = cells(2000)
    curve = precision_recall(histogram(probability, truth), every=100)
    for index, threshold in enumerate(curve.thresholds):
        said = probability >= threshold
        right = (said & truth).sum()
        assert curve.precision[index] == pytest.approx(right / said.sum())
        assert curve.recall[index] == pytest.approx(right / truth.sum())
        assert curve.iou[index] == pytest.approx(right / (said | truth).sum())


def test_the_area_is_torchmetrics_average_precision():
    probability, truth = cells()
    binned = np.floor(probability * NUM_BINS) / NUM_BINS
    theirs = binary_average_precision(torch.from_numpy(binned), torch.from_numpy(truth).int())
    area = precision_recall(histogram(probability, truth)).area
    assert area == pytest.approx(theirs.item(), abs=1e-5)
