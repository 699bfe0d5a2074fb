# SPDX-License-Identifier: Apache-2.0
"""Which objects a set of classes counts, and as what."""

from __future__ import annotations

import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import OBJECT_CLASSES, VEHICLE_CLASSES
from bev_perception.geometry.class_sets import (
    CLASS_GROUPS,
    ROAD_USERS,
    VEHICLES,
    checked_class_set,
    class_index,
    usual_member,
)


def test_vehicles_alone_are_what_vehicle_iou_counts():
    counted = {label for label in OBJECT_CLASSES if class_index(label, VEHICLES) == 0}
    assert counted == VEHICLE_CLASSES


@pytest.mark.parametrize("names", [ROAD_USERS, tuple(reversed(ROAD_USERS))])
def test_an_object_belongs_to_the_smallest_group_that_holds_it_in_any_order(names):
    found = {label: class_index(label, names) for label in OBJECT_CLASSES}
    groups = {label: None if index is None else names[index] for label, index in found.items()}
    assert groups["car"] == groups["bus"] == "vehicle"
    assert groups["bicycle"] == groups["motorcycle"] == "two_wheeler"
    assert groups["pedestrian"] == "pedestrian"
    assert groups["barrier"] is groups["unknown"] is None


def test_every_group_has_a_usual_member_of_its_own():
    for name, members in CLASS_GROUPS.items():
        assert usual_member(name) in members


@pytest.mark.parametrize("names", [(), ("vehicle", "vehicle"), ("tram",)])
def test_sets_that_make_no_sense_are_refused(names):
    with pytest.raises(ConfigurationError, match="classes must be different groups"):
        checked_class_set(names)
