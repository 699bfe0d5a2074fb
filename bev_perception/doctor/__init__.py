# SPDX-License-Identifier: Apache-2.0
"""Finds and explains what is wrong with a recording or with live topics."""
