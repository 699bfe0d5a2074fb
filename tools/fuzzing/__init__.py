# SPDX-License-Identifier: Apache-2.0
"""Damaged and hostile files for every reader of bev_perception; see tools/fuzz.py."""
