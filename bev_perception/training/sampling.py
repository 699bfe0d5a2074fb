# SPDX-License-Identifier: Apache-2.0
"""The order in which training sees its samples, without an end and resumable anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from bev_perception.errors import ConfigurationError


class EndlessBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (index, position) for ever, a new permutation in every pass.

    The position counts samples since the start of training. It alone decides the sample and
    its augmentation, so the order does not depend on workers, and training resumed at a batch
    sees what an uninterrupted one would have seen.

    Args:
        num_samples: size of the data set.
        batch_size: samples per batch and process.
        seed: of the permutations.
        start_batch: batches already done.
        rank, num_replicas: this process among those that train together.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int,
        start_batch: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        if num_samples < 1 or batch_size < 1:
            raise ConfigurationError(
                f"training needs samples and a batch size of at least 1, got {num_samples} "
                f"samples in batches of {batch_size}"
            )
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._seed = seed
        self._start_batch = start_batch
        self._rank = rank
        self._num_replicas = num_replicas

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch = self._start_batch
        epoch, order = -1, np.zeros(0, dtype=np.int64)
        while True:
            first = (batch * self._num_replicas + self._rank) * self._batch_size
            items = []
            for position in range(first, first + self._batch_size):
                if position // self._num_samples != epoch:
                    epoch = position // self._num_samples
                    order = self._permutation(epoch)
                items.append((int(order[position % self._num_samples]), position))
            yield items
            batch += 1

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self._num_samples)
