# SPDX-License-Identifier: Apache-2.0
"""A CARLA server as a simulated vehicle: the only room that calls the ``carla`` package.

Import from the modules: ``settings`` needs no carla package, ``session`` does.
"""
