# SPDX-License-Identifier: Apache-2.0
"""Faults of cameras, calibrations, TF, clocks, engines and processes, to be injected anywhere.

injection = Injection(FAULTS["frozen"], Choice(cameras=("rear",)))
inject_into_bag(Path("drive"), Path("frozen_drive"), [injection])
frames = faulty_frames(frames, [injection])
arriving = Injector([injection]).feed(Delivery(Kind.IMAGE, "rear", now_ns, message))
"""

from bev_perception.faults.bag_injection import bag_range_ns, inject_into_bag
from bev_perception.faults.camera_frames import faulty_frames
from bev_perception.faults.catalog import FAULTS
from bev_perception.faults.delivery import Delivery, Kind
from bev_perception.faults.fault import ALL, Choice, Effect, Fault, Injection, Injector

__all__ = [
    "ALL",
    "FAULTS",
    "Choice",
    "Delivery",
    "Effect",
    "Fault",
    "Injection",
    "Injector",
    "Kind",
    "bag_range_ns",
    "faulty_frames",
    "inject_into_bag",
]
