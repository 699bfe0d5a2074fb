# SPDX-License-Identifier: Apache-2.0
"""How often `bev doctor` finds red and blue swapped, and how often where they are not.

    bev simulate --town 11000..11019 --sets 10 --rate-hz 0.5 --jobs 2 --out out/towns/test
    python benchmarks/doctor_colours.py out/towns/test/town_*

Every recording is judged as it is, with the channels of all cameras swapped, and with those of one
camera after the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from bev_perception.doctor.bag_observation import observe_bag
from bev_perception.doctor.colour_check import Colours, swapped_cameras
from bev_perception.doctor.sight import decoded

ALL = [""]
"""What is said of a recording whose cameras are all swapped."""


def colours_of(bag: Path) -> tuple[dict[str, Colours], dict[str, Colours]]:
    """By camera, as recorded and with red and blue swapped."""
    sound, swapped = {}, {}
    for name, track in observe_bag(bag).cameras.items():
        images = [image for image in map(decoded, track.samples) if image is not None]
        alike = [image for image in images if image.shape == images[0].shape]
        if alike:
            sound[name] = Colours.of(alike)
            swapped[name] = Colours.of([image[..., ::-1] for image in alike])
    return sound, swapped


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bags", nargs="+", type=Path)
    options = parser.parse_args()
    alarms = found = cameras = found_alone = others = 0
    for bag in tqdm(options.bags, unit="recording"):
        sound, swapped = colours_of(bag)
        alarms += len(swapped_cameras(sound))
        found += swapped_cameras(swapped) == ALL
        for name in sound:
            said = swapped_cameras({**sound, name: swapped[name]})
            cameras += 1
            found_alone += said == [name]
            others += any(each != name for each in said)
    count = len(options.bags)
    print(f"{count} recordings as they are: {alarms} alarms")
    print(f"all channels swapped: {found} of {count} found")
    print(f"one camera swapped: {found_alone} of {cameras} found, {others} times another one named")


if __name__ == "__main__":
    main()
