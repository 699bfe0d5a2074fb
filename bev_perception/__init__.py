# SPDX-License-Identifier: Apache-2.0
"""Bird's-eye-view perception for ROS 2: cameras in, occupancy grid and object centres out."""

__version__ = "0.1.0"
