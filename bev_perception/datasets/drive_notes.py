# SPDX-License-Identifier: Apache-2.0
"""What a person should know about a drive's images, clocks and poses as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bev_perception.bags.recorded_bag import RecordedBag
from bev_perception.datasets.cuts import NANOSECONDS
from bev_perception.datasets.image_survey import ImageNote, ImageSurvey
from bev_perception.datasets.planned_set import PlannedSet
from bev_perception.perception import Synchronizer

_LARGE_DELAY_MS = 20.0


def drive_notes(
    bag: RecordedBag,
    images: ImageSurvey,
    synchronizer: Synchronizer[ImageNote],
    planned: Sequence[PlannedSet],
) -> list[str]:
    """Sentences, none where all is as it should be."""
    notes = [*bag.refused_transforms, *map(str, bag.rig_changes.mountings)]
    if not bag.has_static_transforms:
        notes.append("nothing on /tf_static: mountings come from /tf or a rig file")
    for name, number in images.wrong_stamps.items():
        notes.append(f"camera {name}: {number} images with stamps out of line are left out")
    for name, causes in synchronizer.statistics.dropped.items():
        if causes:
            words = ", ".join(f"{number} {cause}" for cause, number in causes.items())
            notes.append(f"camera {name}: images in no set: {words}")
    for name in synchronizer.cameras:
        delays = [
            each.images[name].stamp_ns - each.stamp_ns for each in planned if name in each.images
        ]
        delay_ms = float(np.median(delays)) / 1e6 if delays else 0.0
        if delay_ms > _LARGE_DELAY_MS:
            notes.append(
                f"camera {name} is {delay_ms:.0f} ms behind the first image of a set in the median"
            )
    if all(each.world_T_base is None for each in planned):
        notes.append("no ego pose: sets are not levelled, and those of a standing vehicle all kept")
    first, last = planned[0].stamp_ns, planned[-1].stamp_ns
    recorded = max(n.log_ns for n in images.images) - min(n.log_ns for n in images.images)
    if abs((last - first) - recorded) > max(NANOSECONDS, 0.5 * recorded):
        notes.append(
            f"stamps span {(last - first) / NANOSECONDS:.1f} s, but recording took "
            f"{recorded / NANOSECONDS:.1f} s: another clock, or stamps that jump"
        )
    return notes
