# SPDX-License-Identifier: Apache-2.0
"""Training on windows of consecutive sets, for networks with memory."""
