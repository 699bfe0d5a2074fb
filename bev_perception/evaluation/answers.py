# SPDX-License-Identifier: Apache-2.0
"""Where outputs come from: a network that is run now, or a recording of one that ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from bev_perception.bags.output_reader import DEFAULT_NODE, OutputReader
from bev_perception.datasets.bag_drive import BagDrive
from bev_perception.datasets.labelled_set import LabelledDrive, LabelledSet
from bev_perception.errors import BagError
from bev_perception.geometry import BevOutput
from bev_perception.geometry.class_sets import VEHICLES
from bev_perception.geometry.frames import levelled
from bev_perception.inference import Engine
from bev_perception.perception import Pipeline, PipelineSettings

Answer = tuple[LabelledSet, BevOutput]


class Respondent(Protocol):
    """Says what is around the vehicle."""

    @property
    def settings(self) -> PipelineSettings:
        """How objects are found."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """What it looks for, groups of geometry.class_sets."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether the map that it gives of a set depends on the sets before."""
        ...

    @property
    def points_of(self) -> str:
        """Which sensor's points it looks at: "lidar", "radar" or "none"."""
        ...

    def answers(self, drive: LabelledDrive, sets: Iterable[LabelledSet]) -> Iterator[Answer]:
        """Sets of a drive with the outputs for them; those without an output are left out."""
        ...


class EngineRespondent:
    """Runs the pipeline that users run.

    Args:
        engine: the network.
        settings: of the pipeline; default those of the node, which follows objects.
    """

    def __init__(self, engine: Engine, settings: PipelineSettings | None = None) -> None:
        self._engine = engine
        self.settings = settings or PipelineSettings(track=True)
        self.classes = engine.config.classes
        self.remembers = engine.config.memory.is_on
        self.points_of = engine.config.sensor

    def answers(self, drive: LabelledDrive, sets: Iterable[LabelledSet]) -> Iterator[Answer]:
        """See Respondent."""
        pipeline = Pipeline(self._engine, drive.rig, self.settings)
        for labelled in sets:
            if labelled.rig is not None and labelled.rig != pipeline.rig:
                pipeline.rig = labelled.rig
            yield labelled, pipeline.process(labelled.frame_set)


class RecordedRespondent:
    """Reads what was recorded beside images and labels, by the node or by ``bev run``.

    Cells that no camera saw are recorded as unknown and count as said to be free. Recordings do
    not tell classes; vehicles are judged.

    Args:
        node: name that the outputs' topics begin with.
        settings: with which they were made, as far as it is known.
    """

    def __init__(self, node: str = DEFAULT_NODE, settings: PipelineSettings | None = None) -> None:
        self._node = node
        self.settings = settings or PipelineSettings()
        self.classes = VEHICLES
        self.remembers = False  # its outputs hold what it remembered
        self.points_of = "none"

    def answers(self, drive: LabelledDrive, sets: Iterable[LabelledSet]) -> Iterator[Answer]:
        """See Respondent.

        Raises:
            BagError: the drive is no bag, or holds no outputs.
        """
        threshold = self.settings.occupancy_threshold
        with OutputReader(_bag_of(drive), self._node) as reader:
            for labelled in sets:
                pose = labelled.frame_set.world_T_base
                level_T_base = None if pose is None else levelled(pose)
                output = reader.output(labelled.frame_set.stamp_ns, level_T_base, threshold)
                if output is not None:
                    yield labelled, output


def _bag_of(drive: LabelledDrive) -> Path:
    if not isinstance(drive, BagDrive):
        raise BagError(f"{drive.name} is no bag; outputs are recorded in bags alone")
    return drive.path
