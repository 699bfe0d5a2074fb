# SPDX-License-Identifier: Apache-2.0
"""rclpy nodes and the conversions between messages and plain types."""
