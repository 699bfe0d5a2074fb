# SPDX-License-Identifier: Apache-2.0
"""PA, MPA, mIoU and FWIoU are Garcia-Garcia's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from bev_perception.evaluation.segmentation_scores import (
    frequency_weighted_iou,
    mean_iou,
    mean_pixel_accuracy,
    pixel_accuracy,
)


def test_two_classes_by_hand():
    confusion = [[80, 10], [4, 6]]  # truth free, vehicle; prediction free, vehicle
    assert pixel_accuracy(confusion) == pytest.approx(86 / 100)
    assert mean_pixel_accuracy(confusion) == pytest.approx((80 / 90 + 6 / 10) / 2)
    assert mean_iou(confusion) == pytest.approx((80 / 94 + 6 / 20) / 2)
    assert frequency_weighted_iou(confusion) == pytest.approx(0.9 * 80 / 94 + 0.1 * 6 / 20)


def test_they_equal_torchmetrics_on_three_classes():
    random = np.random.default_rng(1)
    truth, said = torch.from_numpy(random.integers(0, 3, (2, 4000)))
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (truth.numpy(), said.numpy()), 1)

    def theirs(kind, average):
        return kind(num_classes=3, average=average)(said, truth).item()

    assert pixel_accuracy(confusion) == pytest.approx(theirs(MulticlassAccuracy, "micro"))
    assert mean_pixel_accuracy(confusion) == pytest.approx(theirs(MulticlassAccuracy, "macro"))
    assert mean_iou(confusion) == pytest.approx(theirs(MulticlassJaccardIndex, "macro"))
    weighted = theirs(MulticlassJaccardIndex, "weighted")
    assert frequency_weighted_iou(confusion) == pytest.approx(weighted)


def test_a_class_that_does_not_exist_takes_no_part():
    confusion = [[90, 0], [0, 0]]
    assert mean_pixel_accuracy(confusion) == mean_iou(confusion) == 1.0
    assert frequency_weighted_iou(confusion) == 1.0


def test_an_invented_class_counts_for_iou_and_not_for_accuracy():
    confusion = [[60, 30], [0, 0]]
    assert mean_pixel_accuracy(confusion) == pytest.approx(60 / 90)
    assert mean_iou(confusion) == pytest.approx((60 / 90 + 0) / 2)


def test_nothing_is_no_number_and_a_wrong_shape_is_refused():
    assert math.isnan(pixel_accuracy(np.zeros((2, 2))))
    assert math.isnan(mean_iou(np.zeros((2, 2))))
    with pytest.raises(ValueError, match="square"):
        mean_iou([[1, 2, 3]])
