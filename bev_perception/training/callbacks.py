# SPDX-License-Identifier: Apache-2.0
"""What happens around the steps: averaged weights, progress, stopping."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from tqdm import tqdm

from bev_perception.training.averaging import move_average

_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, used to validate and in the end.

    Args:
        decay: per step, see move_average.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=partial(move_average, decay=decay))


class Stopper(Callback):
    """Ends training after the current step: on Ctrl-C or SIGTERM, or when its time is over.

    A second such signal interrupts at once.

    Args:
        max_minutes: time for this run, None for no limit.
        started: time.monotonic() when it began; default now.
    """

    def __init__(self, max_minutes: float | None, started: float | None = None) -> None:
        self.interrupted = False
        self._max_seconds = None if max_minutes is None else 60.0 * max_minutes
        self._started = time.monotonic() if started is None else started
        self._step = 0
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens to signals."""
        self._step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING_SIGNALS:
                self._previous[number] = signal.signal(number, self._interrupt)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Asks the trainer to stop when it is time, never between accumulated batches."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        over = self._max_seconds is not None and (
            time.monotonic() - self._started >= self._max_seconds
        )
        if trainer.world_size > 1:  # all stop after the same step, or some would wait for ever
            agreed = trainer.strategy.reduce_boolean_decision
            self.interrupted = agreed(self.interrupted, all=False)
            over = agreed(over, all=False)
        if self.interrupted or over:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gives the signals back."""
        self.close()

    def close(self) -> None:
        """Restores the signal handlers; safe to call twice."""
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signum, self._previous.get(signum) or signal.default_int_handler)


class LoadingTime:
    """How long steps wait for their batches."""

    def __init__(self) -> None:
        self._waited = self._worked = 0.0
        self._since: float | None = None

    @property
    def share(self) -> float:
        """Of all time up to now, 0 to 1."""
        return self._waited / max(self._waited + self._worked, 1e-9)

    def has_come(self) -> None:
        """A batch is there."""
        now = time.perf_counter()
        self._waited += 0.0 if self._since is None else now - self._since
        self._since = now

    def is_done(self) -> None:
        """It has been worked on."""
        now = time.perf_counter()
        self._worked += 0.0 if self._since is None else now - self._since
        self._since = now

    def pauses(self) -> None:
        """Something else happens until the next batch."""
        self._since = None


class StepProgress(Callback):
    """One bar over all optimiser steps: rate, remaining time, loss, IoU, time lost to loading.

    Args:
        enabled: draw it.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._bar: tqdm[Any] | None = None
        self._iou = float("nan")
        self._loading = LoadingTime()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the bar where the run stands."""
        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            desc="train",
            unit="step",
            disable=not (self._enabled and trainer.is_global_zero),
            dynamic_ncols=True,
        )

    def on_train_batch_start(self, *args: Any) -> None:
        """A batch has come."""
        self._loading.has_come()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Moves the bar."""
        self._loading.is_done()
        if self._bar is None or trainer.global_step == self._bar.n:
            return
        self._bar.update(trainer.global_step - self._bar.n)
        if trainer.global_step % 10 == 0:
            loss = trainer.callback_metrics.get("train/segmentation", float("nan"))
            self._bar.set_postfix_str(
                f"segmentation loss {float(loss):.3f}, IoU within 25 m {self._iou:.3f}, "
                f"loading {self._loading.share:.0%}",
                refresh=False,
            )

    def on_validation_start(self, *args: Any) -> None:
        """Validation is neither loading nor training."""
        self._loading.pauses()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remembers the last IoU for the bar."""
        self._iou = float(trainer.callback_metrics.get("validation/iou_within_25m", float("nan")))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Closes the bar; safe to call twice."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
