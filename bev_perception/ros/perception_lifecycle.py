# SPDX-License-Identifier: Apache-2.0
"""The perception node's life: configured, active, and back; and its parameters."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from bev_perception.errors import BevError, ConfigurationError
from bev_perception.geometry.rig_file import RigFile, RigFileCamera, load_rig_file
from bev_perception.inference import Engine
from bev_perception.model import resolve_weights
from bev_perception.perception import PipelineSettings
from bev_perception.ros.engine_order import EngineOrder
from bev_perception.ros.live_session import LiveSession
from bev_perception.ros.parameter_table import PARAMETERS
from bev_perception.ros.parameters import (
    NodeParameters,
    changed_settings,
    declare_parameters,
    read_parameters,
)
from bev_perception.ros.process_monitor import ProcessMonitor
from bev_perception.ros.publishers import OutputPublishers
from bev_perception.ros.python_log import forward_log
from bev_perception.ros.unknown_parameters import warn_of_unknown_parameters
from bev_perception.supervision.supervised_life import SupervisedLife


class PerceptionNode(LifecycleNode):
    """Lifecycle and parameters; what runs while it is active is a LiveSession.

    Args:
        load: gives the network that is asked for.
        life: under a supervisor, for diagnostics; None without.

    Attributes:
        state: of the lifecycle, by its label.
        changed: parameters that were set since the start, by name.
        on_change: called when one of both has changed.

    Raises:
        ConfigurationError: a parameter given at start has the wrong type or range.
    """

    def __init__(
        self,
        load: Callable[[EngineOrder], Engine] = EngineOrder.load,
        life: SupervisedLife | None = None,
    ) -> None:
        try:
            super().__init__("bev")
        except InvalidParameterTypeException as error:  # of use_sim_time, which rclpy declares
            raise ConfigurationError(f"{error}") from error
        self._load = load
        self._process = ProcessMonitor(life)
        self.state = "unconfigured"
        self.changed: dict[str, Any] = {}
        self.on_change: Callable[[], object] = lambda: None
        self._settings = PipelineSettings()
        self._configured: _Configured | None = None
        self._session: LiveSession | None = None
        declare_parameters(self)
        warn_of_unknown_parameters(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._answer_impossible_transitions()
        for line in self._process.log_lines():
            self.get_logger().warning(line)

    @property
    def order(self) -> EngineOrder | None:
        """Of the network that is loaded."""
        return None if self._configured is None else self._configured.order

    def restore(self, changed: Mapping[str, Any]) -> None:
        """Sets parameters as they were set in the node that this one goes on for."""
        self.set_parameters([Parameter(name, value=value) for name, value in changed.items()])

    def start(self, goal: str = "") -> bool:
        """Goes to a state; whether that went well.

        Args:
            goal: unconfigured, inactive or active; default by the parameter autostart.
        """
        goal = goal or ("active" if self.get_parameter("autostart").value else "unconfigured")
        success = TransitionCallbackReturn.SUCCESS
        if goal in ("inactive", "active") and self.trigger_configure() != success:
            return False
        return goal != "active" or bool(self.trigger_activate() == success)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Reads the parameters, loads the network and announces the outputs."""
        return self._transition(self._configure, "inactive")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and starts the threads."""
        return self._transition(self._activate, "active")

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends subscriptions and threads; the network stays loaded."""
        return self._transition(self._deactivate, "inactive")

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forgets the network and the parameters as they were read."""
        return self._transition(self._clean_up, "unconfigured")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all, from any state."""
        return self._transition(self._clean_up, "finalized")

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a defect: back to unconfigured."""
        return self._transition(self._clean_up, "unconfigured")

    def destroy_node(self) -> None:
        """Also ends the threads."""
        self._clean_up()
        super().destroy_node()

    def _answer_impossible_transitions(self) -> None:
        """Asked for a transition that its state has not, rclpy would raise and end the node."""
        service = self._service_change_state
        change_state = service.callback

        def answer(
            request: ChangeState.Request, response: ChangeState.Response
        ) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except RuntimeError as error:
                self.get_logger().warning(f"transition refused: {error}")
                response.success = False
                return response

        service.callback = answer

    def _transition(self, change: Callable[[], None], goal: str) -> TransitionCallbackReturn:
        """FAILURE with one line for what the user can mend, ERROR with a traceback otherwise."""
        try:
            change()
        except BevError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        self.state = goal
        self.on_change()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        parameters = read_parameters(self)
        rig_file = load_rig_file(parameters.rig_file) if parameters.rig_file else None
        overrides = checked_overrides(parameters, rig_file)
        weights = resolve_weights(parameters.weights)
        forward_log(self.get_logger())
        order = EngineOrder.of(parameters, weights)
        engine = self._load(order)
        if rig_file is not None:
            parameters = replace(parameters, base_frame=rig_file.base_frame)
        self._settings = parameters.settings
        latched = parameters.grid_durability == "transient_local"
        publishers = OutputPublishers(
            self, parameters.base_frame, latched, parameters.labelled_points
        )
        self._configured = _Configured(parameters, overrides, order, engine, publishers)

    def _activate(self) -> None:
        configured = self._configured
        if configured is None:
            raise ConfigurationError("the node is not configured; configure it first")
        self._session = LiveSession(
            self,
            configured.parameters,
            configured.overrides,
            configured.engine,
            configured.facts,
            configured.publishers,
            self._process,
        )
        self._session.settings = self._settings

    def _deactivate(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _clean_up(self) -> None:
        self._deactivate()
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.publishers.close()

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            settings = changed_settings(self._settings, changes, self._configured is not None)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._settings = settings
        if self._session is not None:
            self._session.settings = settings
        known = {change.name: change.value for change in changes if change.name in PARAMETERS}
        if known:
            self.changed |= known
            self.on_change()
        return SetParametersResult(successful=True)


@dataclass(frozen=True)
class _Configured:
    """What is there from configuring to cleaning up."""

    parameters: NodeParameters
    overrides: Mapping[str, RigFileCamera]
    order: EngineOrder
    engine: Engine
    publishers: OutputPublishers

    def facts(self) -> dict[str, str]:
        """Of the engine that is in use now."""
        return {
            "model": self.order.weights,
            "backend": self.engine.backend,
            "device": self.engine.device,
            "precision": self.engine.precision,
            "cameras at a time": str(getattr(self.engine, "camera_batch", 0) or "all"),
        }


def checked_overrides(
    parameters: NodeParameters, rig_file: RigFile | None
) -> dict[str, RigFileCamera]:
    """What the rig file says of the node's cameras.

    Raises:
        ConfigurationError: it names none of them, or another vehicle frame.
    """
    if rig_file is None:
        return {}
    own = {name: rig_file.cameras[name] for name in parameters.cameras if name in rig_file.cameras}
    if not own:
        raise ConfigurationError(
            f"rig_file {parameters.rig_file} names the cameras {', '.join(rig_file.cameras)}, but "
            f"the parameter cameras is {', '.join(parameters.cameras)}; make them agree"
        )
    default = PARAMETERS["base_frame"].default
    if parameters.base_frame not in (default, rig_file.base_frame):
        raise ConfigurationError(
            f"the parameter base_frame is {parameters.base_frame!r}, but rig_file "
            f"{parameters.rig_file} says {rig_file.base_frame!r}; make them agree"
        )
    return own
