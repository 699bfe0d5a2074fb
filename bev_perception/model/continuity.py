# SPDX-License-Identifier: Apache-2.0
"""Whether a set goes on from the one before: in the same world and time, without a teleport."""

from __future__ import annotations

import math

from bev_perception.geometry.planar import EgoMoment
from bev_perception.model.memory_config import MemoryConfig

SECOND = 1_000_000_000
SLACK_M, SLACK_DEG = 2.0, 10.0
"""A pose may jump by so much without being taken for another place: corrections do."""
ACCELERATION_M_PER_S2 = 15.0
"""More than tyres hold: no vehicle leaves its course faster, but a teleport does."""


def discontinuity(
    earlier: EgoMoment | None, last: EgoMoment, moment: EgoMoment, config: MemoryConfig
) -> str:
    """Why a set does not go on from the one before; "" where it does.

    Args:
        earlier: the set that ``last`` went on from, whose motion is expected to go on; None where
            none is known, so any speed up to the configured one is believed.
        last: the set before.
        moment: of the set.
        config: its limits.
    """
    if moment.world_frame != last.world_frame:
        return f"the vehicle's pose is told in {moment.world_frame!r}, before {last.world_frame!r}"
    elapsed_s = (moment.stamp_ns - last.stamp_ns) / SECOND
    if elapsed_s < 0.0:
        return f"time ran {-elapsed_s:.2f} s backwards"
    if elapsed_s > config.max_gap_s:
        return f"no set for {elapsed_s:.2f} s, more than {config.max_gap_s:g} s"
    motion = last.world_T_level.inverse() @ moment.world_T_level
    if not motion.distance <= config.max_speed_m_per_s * elapsed_s + SLACK_M:
        return f"the vehicle jumped by {motion.distance:.1f} m within {elapsed_s:.2f} s"
    if earlier is not None and (missed_m := _surprise_m(earlier, last, moment)) > 0.0:
        return (
            f"the vehicle jumped: after {elapsed_s:.2f} s it is {missed_m:.1f} m from where its "
            f"motion led"
        )
    turn_deg = abs(math.degrees(motion.yaw))
    if turn_deg > config.max_turn_deg_per_s * elapsed_s + SLACK_DEG:
        return f"the vehicle jumped by {turn_deg:.0f} degrees within {elapsed_s:.2f} s"
    return ""


def _surprise_m(earlier: EgoMoment, last: EgoMoment, moment: EgoMoment) -> float:
    """Metres to where the mean velocity before would have led; 0 where that is no wonder.

    The velocity is that of some time in the interval before, so the vehicle may have accelerated
    for half of both intervals; and a correction within it counts in proportion to the times.
    """
    before_s = (last.stamp_ns - earlier.stamp_ns) / SECOND
    elapsed_s = (moment.stamp_ns - last.stamp_ns) / SECOND
    if before_s <= 0.0:
        return 0.0
    ratio = elapsed_s / before_s
    a, b, c = earlier.world_T_level, last.world_T_level, moment.world_T_level
    missed_m = math.hypot(c.x - b.x - ratio * (b.x - a.x), c.y - b.y - ratio * (b.y - a.y))
    allowed_m = SLACK_M * max(1.0, ratio)
    allowed_m += ACCELERATION_M_PER_S2 * elapsed_s * (elapsed_s + before_s) / 2.0
    return missed_m if missed_m > allowed_m else 0.0
