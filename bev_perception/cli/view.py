# SPDX-License-Identifier: Apache-2.0
"""``bev view``: live topics or bags in the Rerun viewer."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bev_perception.cli.parser import (
    Arguments,
    Command,
    Parser,
    add_rig_argument,
    node_name,
    require,
)
from bev_perception.cli.teller import Teller
from bev_perception.errors import ConfigurationError

if TYPE_CHECKING:
    from bev_perception.geometry import CameraFrame
    from bev_perception.visualization.rerun_sink import Kind, RerunSink, SinkSettings
    from bev_perception.visualization.rerun_view import RerunView

_CAMERAS = "front,left,rear,right"

_tell = Teller("view")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "bags",
        nargs="*",
        type=str,
        metavar="BAG",
        help="bags to show together, for example a drive and what bev run made of it; none for "
        "the live topics",
    )
    parser.add_argument(
        "--save", type=str, default=None, metavar="FILE.rrd", help="write a file, open no window"
    )
    parser.add_argument(
        "--serve", action="store_true", help="serve browsers instead of opening a window"
    )
    parser.add_argument(
        "--connect",
        type=str,
        default=None,
        metavar="URL",
        help="send to a viewer that runs already, rerun+http://HOST:9876/proxy",
    )
    parser.add_argument("--port", type=int, default=9876, help="of the viewer's data")
    parser.add_argument("--web-port", type=int, default=9090, help="of the page of --serve")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --save")
    parser.add_argument(
        "--cameras",
        type=str,
        default=None,
        metavar="A,B",
        help=f"cameras to show; default those of the bags, live {_CAMERAS}",
    )
    parser.add_argument("--node", type=str, default="bev", help="whose outputs to show")
    parser.add_argument("--image-quality", type=int, default=80, help="of JPEG, 1 to 100")
    parser.add_argument(
        "--image-width", type=int, default=960, help="wider images are shrunk to this, pixels"
    )
    add_rig_argument(parser, "bags: names topics, frames or calibrations that they do not tell")
    live = parser.add_argument_group("live topics")
    live.add_argument(
        "--image-topic",
        type=str,
        default="/camera/{camera}/image_raw",
        help="{camera} stands for the camera's name",
    )
    live.add_argument(
        "--camera-info-topic",
        type=str,
        default="/camera/{camera}/camera_info",
        help="{camera} stands for the camera's name",
    )
    live.add_argument(
        "--image-transport",
        choices=("auto", "raw", "compressed"),
        default="auto",
        help="raw: Image; compressed: CompressedImage on /compressed below --image-topic; auto: "
        "raw where somebody publishes it",
    )
    live.add_argument(
        "--rectified",
        action="store_true",
        help="all images are rectified; default: those on topics named image_rect",
    )
    live.add_argument(
        "--truth-topic",
        type=str,
        default="/ground_truth/objects",
        help="MarkerArray of labelled objects, where somebody publishes them",
    )
    live.add_argument("--base-frame", type=str, default="base_link", help="of the vehicle")
    live.add_argument(
        "--rate", type=float, default=10.0, metavar="HZ", help="each topic at most so often"
    )
    live.add_argument(
        "--duration", type=float, default=None, metavar="S", help="end after so many seconds"
    )


def _run(arguments: Arguments) -> None:
    # Rerun's own log: what goes wrong with the connection is told by us.
    os.environ.setdefault("RUST_LOG", "error,re_sdk=off,re_grpc_client=off,winit=error")
    settings = _sink_settings(arguments)
    quality, width = arguments.image_quality, arguments.image_width
    require(1 <= quality <= 100, f"--image-quality must lie in 1..100, got {quality}")
    require(width >= 16, f"--image-width must be 16 or more, got {width}")
    if arguments.bags:
        _view_bags(arguments, settings)
    else:
        _view_live(arguments, settings)


def _sink_settings(arguments: Arguments) -> SinkSettings:
    from bev_perception.visualization.rerun_sink import SinkSettings

    chosen = [name for name in ("save", "serve", "connect") if arguments[name]]
    require(len(chosen) < 2, f"--{' and --'.join(chosen)} exclude each other; choose one of them")
    for name in ("port", "web_port"):
        option = f"--{name.replace('_', '-')}"
        require(0 < arguments[name] < 65536, f"{option} must lie in 1..65535")
    path = None if arguments.save is None else Path(arguments.save)
    if path is not None:
        require(path.suffix == ".rrd", f"--save writes .rrd files, not {path.name!r}")
        require(
            arguments.overwrite or not path.exists(),
            f"{path} exists; --overwrite replaces it",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Kind] = {"save": "file", "serve": "web", "connect": "remote"}
    kind = kinds[chosen[0]] if chosen else "window"
    return SinkSettings(kind, path, arguments.connect or "", arguments.port, arguments.web_port)


def _view_bags(arguments: Arguments, settings: SinkSettings) -> None:
    from bev_perception.cli.bag_view import ViewedBag
    from bev_perception.geometry.rig_file import load_rig_file
    from bev_perception.visualization.rerun_blueprint import view_blueprint
    from bev_perception.visualization.rerun_sink import open_sink

    rig_file = None if arguments.rig is None else load_rig_file(arguments.rig)
    wanted = _names(arguments.cameras)
    shown: Counter[str] = Counter()
    with ExitStack() as stack:
        bags = [
            stack.enter_context(
                ViewedBag(Path(bag), node_name(arguments.node), rig_file, wanted, _tell.warning)
            )
            for bag in arguments.bags
        ]
        cameras = list(dict.fromkeys(name for bag in bags for name in bag.cameras))
        missing = [name for name in wanted or () if name not in cameras]
        if missing:
            raise ConfigurationError(
                f"no bag has a camera {', '.join(missing)}; see `bev inspect` for those there are"
            )
        with_reports = any(bag.has_reports for bag in bags)
        blueprint = view_blueprint(cameras, live=False, with_reports=with_reports)
        sink = stack.enter_context(open_sink(settings, blueprint))
        view = _new_view(sink, arguments, live=False)
        for bag in bags:
            shown += bag.show(view, _with_bar)
            sink.flush()
        print("shown: " + ", ".join(f"{count} {name}" for name, count in shown.items()))
        if sink.page:
            with suppress(KeyboardInterrupt):
                _tell(f"open {sink.page} in a browser; Ctrl-C ends")
                signal.pause()
    _tell_saved(settings)


def _view_live(arguments: Arguments, settings: SinkSettings) -> None:
    from bev_perception.ros.session import Session
    from bev_perception.visualization.rerun_blueprint import view_blueprint
    from bev_perception.visualization.rerun_sink import ViewerGoneError, open_sink

    require(arguments.rig is None, "--rig is for bags; live cameras tell by CameraInfo and TF")
    require(0 < arguments.rate <= 100, f"--rate must lie in 0..100, got {arguments.rate:g}")
    duration_s = arguments.duration
    require(duration_s is None or duration_s > 0, f"--duration must be positive, got {duration_s}")
    with Session("bev_viewer") as session:
        from bev_perception.ros.viewer import LiveViewer
        from bev_perception.ros.viewer_settings import ViewerSettings

        topics = ViewerSettings(
            cameras=_names(arguments.cameras or _CAMERAS) or (),
            image_topic=arguments.image_topic,
            info_topic=arguments.camera_info_topic,
            transport=arguments.image_transport,
            rectified=arguments.rectified,
            node=node_name(arguments.node),
            truth_topic=arguments.truth_topic,
            base_frame=arguments.base_frame,
            max_rate_hz=arguments.rate,
        )
        blueprint = view_blueprint(topics.cameras, live=True, with_reports=True)
        with open_sink(settings, blueprint) as sink:
            view = _new_view(sink, arguments, live=True)
            viewer = LiveViewer(session.node, view, topics, _tell.warning)
            where = f"; open {sink.page} in a browser" if sink.page else ""
            _tell(f"showing {topics.node} and {len(topics.cameras)} cameras{where}; Ctrl-C ends")
            end = None if duration_s is None else time.monotonic() + duration_s
            try:
                viewer.run(
                    session.spin_once,
                    sink.flush,
                    lambda: session.stopping or (end is not None and time.monotonic() >= end),
                )
            except ViewerGoneError as error:
                if settings.kind != "window":
                    raise
                _tell(f"{error}")
        shown = viewer.shown
    print(f"shown: {shown.total()} messages of {len(shown)} topics")
    _tell_saved(settings)


def _new_view(sink: RerunSink, arguments: Arguments, live: bool) -> RerunView:
    from bev_perception.visualization.rerun_view import RerunView

    return RerunView(
        sink.recording, arguments.image_quality, arguments.image_width, with_log_time=live
    )


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    require(bool(names), "--cameras is empty; name them, comma-separated")
    return names


def _with_bar(frames: Iterator[CameraFrame]) -> Iterator[CameraFrame]:
    from bev_perception.cli.progress import progress

    return progress(frames, "images", unit="image")


def _tell_saved(settings: SinkSettings) -> None:
    if settings.path is not None:
        print(f"recording: {settings.path}; look at it with: rerun {settings.path}")


COMMAND = Command(
    name="view",
    summary="live topics or bags in the Rerun viewer",
    description="Shows camera images, occupancy, objects, ground truth, latencies and "
    "diagnostics in the Rerun viewer: of the running system, or of bags. Needs the extra 'view'; "
    "live topics need ROS 2. Live, the newest message of each topic is shown and the others are "
    "left out, so that nobody waits for the viewer. Images of cameras with lens distortion are "
    "shown undistorted, because the viewer knows pinhole cameras alone.",
    examples=(
        ("what the robot sees, in a window", "bev view"),
        ("the same in a browser, from a machine without a display", "bev view --serve"),
        ("a drive with what bev run made of it", "bev view drive out/drive/output"),
        ("a file for later, or for somebody else", "bev view drive --save out/drive.rrd"),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
