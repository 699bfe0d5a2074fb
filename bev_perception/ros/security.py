# SPDX-License-Identifier: Apache-2.0
"""SROS2: the keystore of this package's nodes, and starting under it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.ros.security_policy import NodePolicy, policy_xml

POLICY_FILE = "bev_perception.policy.xml"
_NO_SECURITY = "doesn't have the security libraries"


def make_keystore(folder: Path, nodes: list[NodePolicy]) -> Path:
    """Keys, certificates and signed permissions of every enclave, by sros2.

    Args:
        folder: made where it does not exist; a keystore there gets the enclaves that it lacks and
            new permissions for the others.
        nodes: the rights.

    Returns:
        The policy file, which stays in the folder and can be edited and signed anew.

    Raises:
        SystemLibraryError: sros2 is not installed; the policy file is written all the same.
        ConfigurationError: the folder cannot be written, or sros2 refuses the policy.
    """
    path = folder / POLICY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # who reads the keys is whoever they name
        path.write_text(policy_xml(nodes), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        from sros2.api._artifact_generation import generate_artifacts
    except (ImportError, LookupError, OSError) as error:
        raise SystemLibraryError(
            f"keys are made by sros2, which is not installed here ({error}); `sudo apt install "
            f"ros-$ROS_DISTRO-sros2` brings it to a ROS 2 installation. The policy is in {path}: "
            f"`ros2 security generate_artifacts -k {folder} -p {path}` makes the same of it"
        ) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            generate_artifacts(folder, [], [path])
    except Exception as error:  # sros2's, lxml's and cryptography's own, which have no common base
        raise ConfigurationError(
            f"sros2 cannot make the keystore {folder}: {type(error).__name__}: {error}"
        ) from error
    return path


def security_environment(keystore: str) -> dict[str, str]:
    """Variables under which every node must prove who it is, or does not start.

    Raises:
        ConfigurationError: there is no keystore.
    """
    if not keystore:
        raise ConfigurationError(
            "security:=true needs keystore:=FOLDER, or the variable ROS_SECURITY_KEYSTORE; "
            "`bev keystore FOLDER` makes one"
        )
    path = Path(keystore).expanduser().absolute()
    if not (path / "enclaves" / "governance.p7s").is_file():
        raise ConfigurationError(
            f"keystore:={keystore} is no keystore: it has no enclaves/governance.p7s; "
            f"`bev keystore {keystore}` makes one"
        )
    return {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(path),
    }


@contextlib.contextmanager
def security_told() -> Iterator[None]:
    """Tells in words that the middleware was built without what the environment asks for.

    Raises:
        SystemLibraryError: in place of rclpy's error.
    """
    try:
        yield
    except RuntimeError as error:
        if _NO_SECURITY not in str(error):
            raise
        raise SystemLibraryError(
            "ROS_SECURITY_ENABLE is true, but the DDS library here was built without security, so "
            "nothing is started: take a ROS 2 installation from packages (the wheels from PyPI "
            "have none), or unset ROS_SECURITY_ENABLE"
        ) from error
