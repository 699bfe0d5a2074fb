# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the server side of CARLA, for machines on which no server runs.

Value types (Transform, BoundingBox, WorldSettings, Timestamp, ...) are those of the real carla
package; classes that cannot be made without a server have a double here, whose public names and
parameters test_carla_double.py compares with the package's. Vehicles, people and images
are the embedded town's, told in CARLA's left-handed axes by CARLA's own mathematics: a wrong
conversion in the package shows up in the pixels.

    double = CarlaDouble()
    with installed(double):       # carla.Client reaches it
        ...
"""

from carla_double.client import FakeClient, installed
from carla_double.server import CarlaDouble, Faults
from carla_double.town import TownActors

__all__ = ["CarlaDouble", "FakeClient", "Faults", "TownActors", "installed"]
