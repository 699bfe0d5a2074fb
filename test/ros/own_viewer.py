# SPDX-License-Identifier: Apache-2.0
"""A live viewer in the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rerun_recording import Recording
from ros_processes import wait_for

from bev_perception.ros.viewer import LiveViewer
from bev_perception.ros.viewer_settings import ViewerSettings
from bev_perception.visualization.rerun_blueprint import view_blueprint
from bev_perception.visualization.rerun_sink import SinkSettings, open_sink
from bev_perception.visualization.rerun_view import RerunView


class Session:
    """It and its node, stepped by the test."""

    def __init__(self, rclpy: Any, client: Any, path: Path, **settings: Any):
        self.client = client
        self.warnings: list[str] = []
        self._path = path
        blueprint = view_blueprint(("front",), live=True, with_reports=True)
        self._sink = open_sink(SinkSettings("file", path), blueprint)
        view = RerunView(self._sink.__enter__().recording, image_quality=95)
        self._node = rclpy.create_node("test_viewer")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.viewer = LiveViewer(self._node, view, ViewerSettings(**settings), self.warnings.append)

    def spin(self) -> None:
        """Takes what has arrived."""
        for _ in range(20):
            self._executor.spin_once(0.002)

    def show_until(self, condition: Callable[[], Any], publish: Callable[[], Any]) -> None:
        """Publishes and shows over and over, for subscriptions may be late."""

        def step() -> Any:
            publish()
            self.spin()
            self.viewer.show()
            return condition()

        wait_for(step, what=f"something to be shown; so far {dict(self.viewer.shown)}")

    def run_until(self, condition: Callable[[], Any]) -> None:
        """As bev view does; nothing more can be shown after it."""
        self.viewer.run(self._executor.spin_once, lambda: None, lambda: bool(condition()))

    def recording(self) -> Recording:
        """All that was shown; ends the viewer."""
        self.close()
        return Recording(self._path)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()
            self._node.destroy_node()
            self._sink.__exit__(None, None, None)
            self._executor = None
