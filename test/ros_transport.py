# SPDX-License-Identifier: Apache-2.0
"""The shipped transport in a hurry."""

from __future__ import annotations

from pathlib import Path

from bev_perception.resources import config_path

HEARTBEATS = {
    "FASTRTPS_DEFAULT_PROFILES_FILE": "heartbeatPeriod",  # Fast DDS 2: Humble, Jazzy
    "FASTDDS_DEFAULT_PROFILES_FILE": "heartbeat_period",  # Fast DDS 3: Kilted, Lyrical
}
WRITER = """
<data_writer profile_name="test_writer" is_default_profile="true">
  <times><{name}><sec>0</sec><nanosec>50000000</nanosec></{name}></times>
</data_writer>
</profiles>
"""


def quick_profiles(folder: Path) -> dict[str, Path]:
    """config/fastdds.xml with more heartbeats, a file in folder per variable that chooses it.

    With the default of 3 s, whoever waits until his last few messages have arrived, as recorders'
    tests and drives at their end do, waits as long.
    """
    shipped = config_path("fastdds.xml").read_text()
    profiles = {}
    for variable, name in HEARTBEATS.items():
        profiles[variable] = folder / f"{name}.xml"
        profiles[variable].write_text(shipped.replace("</profiles>", WRITER.format(name=name)))
    return profiles
