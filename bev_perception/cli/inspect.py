# SPDX-License-Identifier: Apache-2.0
"""``bev inspect``: is this bag fit for use, and do geometry and images agree?"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_output_arguments,
    add_rig_argument,
    require,
)

if TYPE_CHECKING:
    from bev_perception.bags import BagReader
    from bev_perception.geometry import FrameSet
    from bev_perception.visualization import Picture


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bag", type=str, metavar="BAG", help="bag folder, .mcap or .db3 file")
    add_rig_argument(parser, "names topics, frames or calibrations that the bag does not tell")
    parser.add_argument(
        "--pictures", type=int, default=2, metavar="N", help="moments to draw, at least 1"
    )
    add_output_arguments(parser)


def _run(arguments: Arguments) -> None:
    from bev_perception.bags import BagReader
    from bev_perception.cli.bag_run import load_optional_rig
    from bev_perception.cli.inspection import inspect_bag
    from bev_perception.cli.inspection_tables import inspection_tables, inspection_text, overview
    from bev_perception.cli.output_directory import result_directory, write_json, write_run_file
    from bev_perception.visualization import Report, write_report

    require(arguments.pictures >= 1, f"--pictures must be at least 1, got {arguments.pictures}")
    out = Path(arguments.out)
    inputs = [Path(arguments.bag)]
    with result_directory(out, arguments.overwrite, "inspect", inputs) as folder:
        with (
            BagReader(Path(arguments.bag), load_optional_rig(arguments.rig)) as reader,
            closing(_Artist(reader, folder, arguments.pictures)) as artist,
        ):
            inspection = inspect_bag(reader, artist.add)
        text = inspection_text(inspection)
        if inspection.fatal is not None:
            print(text)
            raise inspection.fatal
        (folder / "inspection.txt").write_text(text, encoding="utf-8")
        write_json(folder / "inspection.json", inspection.to_dict())
        write_run_file(folder, "inspect", {"arguments": arguments.as_dict()})
        report = Report(
            title=f"Inspection of {Path(arguments.bag).name}",
            subtitle=overview(inspection.summary).replace("\n", "; "),
            findings=inspection.findings,
            pictures=artist.pictures,
            tables=inspection_tables(inspection),
        )
        write_report(folder / "report.html", report)
    print(text)  # once the results are in place: a reader that hangs up early loses nothing
    print(f"report:   {out / 'report.html'}")
    print(f"pictures: {out / 'cameras_*.jpg'}")


class _Artist:
    """Draws chosen moments of a bag while it is read, and shows how far it got."""

    def __init__(self, reader: BagReader, folder: Path, count: int) -> None:
        from tqdm import tqdm

        first, last = reader.stamp_range_ns
        self._reader, self._folder, self._first_ns = reader, folder, first
        self._moments = [first + (last - first) * i // count for i in range(count)]
        self._bar = tqdm(desc="inspect", unit="set", dynamic_ncols=True)
        self.pictures: list[Picture] = []

    def add(self, frame_set: FrameSet) -> None:
        """Draws the first set after a chosen moment, of a labelled bag the first labelled one."""
        self._bar.update()
        if not self._moments or frame_set.stamp_ns < self._moments[0]:
            return
        if self._reader.label_stamps_ns and self._reader.objects(frame_set.stamp_ns) is None:
            return
        self._moments = [moment for moment in self._moments if moment > frame_set.stamp_ns]
        self._draw(frame_set)

    def close(self) -> None:
        """Ends the progress bar."""
        self._bar.close()

    def _draw(self, frame_set: FrameSet) -> None:
        from bev_perception.visualization import Picture, camera_picture, write_image

        truth = {
            name: self._reader.objects(frame.stamp_ns) or ()
            for name, frame in frame_set.frames.items()
        }
        image = camera_picture(frame_set, self._reader.rig(), truth, (), 2400, ground_grid=True)
        write_image(self._folder / f"cameras_{len(self.pictures):02d}.jpg", image)
        seconds = (frame_set.stamp_ns - self._first_ns) / 1e9
        alt = (
            f"{len(frame_set.frames)} camera views with a ground grid, the horizon and "
            f"{max(map(len, truth.values()))} labelled boxes drawn in."
        )
        caption = (
            f"At {seconds:.2f} s. Boxes must sit on their objects, the grid flat on the road, the "
            f"yellow line on the horizon."
        )
        self.pictures.append(Picture(image, alt, caption))


COMMAND = Command(
    name="inspect",
    summary="what is in a bag, and do geometry and images agree",
    description="Lists topics, rates, gaps, cameras, calibration and transforms of a ROS 2 bag, "
    "synchronises its cameras, says what is wrong and what to do, and draws labelled boxes and "
    "a ground grid into every camera. Leaves inspection.txt, inspection.json, report.html and "
    "pictures in --out. Exits with 2 when the bag cannot be used.",
    examples=(
        ("a recording", "bev inspect drive.mcap --out out/inspection"),
        ("topics named in a rig file", "bev inspect drive --rig car.yaml --out out/inspection"),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
