# SPDX-License-Identifier: Apache-2.0
"""Learning from labelled drives.

What needs Lightning is not imported here, so that processes that only read data start quickly:
``from bev_perception.training.train import train``.
"""

from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.configuration import DataConfig, OptimizerConfig, TrainConfig
from bev_perception.training.loss_config import LossConfig

__all__ = ["AugmentationConfig", "DataConfig", "LossConfig", "OptimizerConfig", "TrainConfig"]
