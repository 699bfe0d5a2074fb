# SPDX-License-Identifier: Apache-2.0
"""Processes that are bound to another one, and a process that has a standby."""
