# SPDX-License-Identifier: Apache-2.0
"""The checks of the doctor, in the order in which they run: later ones rest on earlier ones."""

from __future__ import annotations

from bev_perception.doctor.examination import NamedCheck

CHECKS: tuple[NamedCheck, ...] = ()
"""All of them; docs/doctor.md has a row for each."""
