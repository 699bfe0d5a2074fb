# SPDX-License-Identifier: Apache-2.0
"""The one family of errors that a user can cause and mend.

Every message names the thing, the value seen and what to do. The command line
prints the message alone and exits with 2; any other exception is a defect.
"""


class BevError(Exception):
    """Base of all errors caused by input: files, calibrations, parameters."""


class ConfigurationError(BevError):
    """A rig file, recipe or parameter is malformed."""


class CalibrationError(BevError):
    """A camera's intrinsics, distortion or image size are unusable."""


class TransformError(BevError):
    """A transform is malformed, unknown, disconnected or out of time."""


class BagError(BevError):
    """A bag is missing, damaged or lacks what is asked of it."""


class ResourceError(BevError):
    """The machine ran out of disk, memory or open files; the input is not to blame."""


class DatasetError(BevError):
    """Shards or another data set are missing, damaged, of another version, or cannot be made."""


class WeightsError(BevError):
    """Weights are missing, corrupt or made for another model."""


class EngineError(BevError):
    """An inference engine got input it cannot take, or cannot run here."""


class SystemLibraryError(BevError):
    """A library of the operating system is missing."""


class ProcessError(BevError):
    """A process that a command started ended before its work was done, or never began it."""


class CarlaError(BevError):
    """A CARLA server cannot be reached, or does not do what is asked of it."""


class TrainingError(BevError):
    """A training cannot go on; its last checkpoint is kept and can be resumed."""
