# SPDX-License-Identifier: Apache-2.0
"""A server's settings as they were before, and how they are put back."""

from __future__ import annotations

import carla

from bev_perception.carla_world.faults import server_calls


class SavedWorld:
    """Settings and weather of the world that a client finds.

    Args:
        client: of the server.
    """

    def __init__(self, client: carla.Client) -> None:
        self._client = client
        with server_calls("asking for the world's settings"):
            world = client.get_world()
            self.settings: carla.WorldSettings = world.get_settings()
            self._weather: carla.WeatherParameters = world.get_weather()

    def restore_settings(self, ours: carla.WorldSettings, world_id: int) -> None:
        """Puts the settings back.

        Args:
            ours: what has been set meanwhile. Where another client has loaded another world
                and changed them, they are its own and stay.
            world_id: of the world in which they have been set.

        Raises:
            CarlaError: the server does not answer.
        """
        with server_calls("restoring the world's settings"):
            world = self._client.get_world()
            if world.id == world_id or _is_same_time(world.get_settings(), ours):
                world.apply_settings(self.settings)

    def restore_weather(self, world_id: int) -> None:
        """Puts the weather back, unless the world is another one.

        Raises:
            CarlaError: the server does not answer.
        """
        with server_calls("restoring the weather"):
            world = self._client.get_world()
            if world.id == world_id:
                world.set_weather(self._weather)


def _is_same_time(first: carla.WorldSettings, second: carla.WorldSettings) -> bool:
    return bool(
        first.synchronous_mode == second.synchronous_mode
        and first.fixed_delta_seconds == second.fixed_delta_seconds
    )
