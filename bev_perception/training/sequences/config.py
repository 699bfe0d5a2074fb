# SPDX-License-Identifier: Apache-2.0
"""How long the windows are that a network with memory learns from."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.errors import ConfigurationError


@dataclass(frozen=True)
class SequenceConfig:
    """Windows of consecutive sets of one drive; the defaults are single sets.

    Attributes:
        history: sets at the beginning of a window that fill the memory: forward alone, without
            loss and gradient.
        graded: sets after them that are judged; the gradient goes back through all of these.
            Backpropagation through time ends there.
        remember_s: vehicles that are hidden now, but were visible in a set of the window at most
            this many seconds ago, are taught like visible ones.
        velocity_weight: factor of the velocity's balanced smooth L1 loss, per metre per second.
        velocity_beta: error from which that is linear, metres per second.
    """

    history: int = 0
    graded: int = 1
    remember_s: float = 2.0
    velocity_weight: float = 0.1
    velocity_beta: float = 5.0

    def __post_init__(self) -> None:
        if self.history < 0 or self.graded < 1:
            raise ConfigurationError(
                f"sequences.history must not be negative and sequences.graded at least 1, got "
                f"{self.history} and {self.graded}"
            )
        for name in ("remember_s", "velocity_weight"):
            if not getattr(self, name) >= 0.0:
                raise ConfigurationError(
                    f"sequences.{name} must not be negative, got {getattr(self, name)}"
                )
        if not self.velocity_beta > 0.0:
            raise ConfigurationError(
                f"sequences.velocity_beta must be positive, got {self.velocity_beta}"
            )

    @property
    def length(self) -> int:
        """Sets of a window."""
        return self.history + self.graded

    @property
    def uses_windows(self) -> bool:
        """Whether windows are more than single sets."""
        return self.length > 1
