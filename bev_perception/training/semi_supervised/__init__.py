# SPDX-License-Identifier: Apache-2.0
"""Learning from drives that nobody has labelled, beside a few that somebody has."""
