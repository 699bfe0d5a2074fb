# SPDX-License-Identifier: Apache-2.0
"""One set-up for pip and for colcon (ament_python)."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "bev_perception"
HERE = Path(__file__).resolve().parent  # colcon build --symlink-install runs a link to this file


def shared_files(top: str) -> list[tuple[str, list[str]]]:
    """Every file under the folder `top` with the share folder it is installed to."""
    paths = [path for path in (HERE / top).rglob("*") if "__pycache__" not in path.parts]
    folders = sorted({path.parent for path in paths if path.is_file()})
    return [
        (
            f"share/{PACKAGE}/{folder.relative_to(HERE)}",
            [str(path.relative_to(HERE)) for path in sorted(folder.iterdir()) if path.is_file()],
        )
        for folder in folders
    ]


def package_files() -> list[str]:
    """Files in the package that are no code; Humble's setuptools knows no ** in package_data."""
    root = HERE / PACKAGE
    suffixes = (".safetensors", ".html", ".css", ".glsl")
    paths = [path for path in root.rglob("*") if path.suffix in suffixes]
    return ["py.typed", *sorted(str(path.relative_to(root)) for path in paths)]


SIMULATION = ["moderngl>=5.10"]
TRAINING = ["lightning>=2.6", "torchmetrics>=1.4", "tensorboard>=2.15"]
# Jazzy from PyPI, for machines without ROS 2; tools/make_interfaces.py adds what has no wheel.
ROS = [
    f"ros-jazzy-{name}"
    for name in (
        "rclpy",
        "rmw-fastrtps-cpp",
        "builtin-interfaces",
        "diagnostic-msgs",
        "geometry-msgs",
        "lifecycle-msgs",
        "nav-msgs",
        "rcl-interfaces",
        "rosgraph-msgs",
        "sensor-msgs",
        "shape-msgs",
        "std-msgs",
        "std-srvs",
        "visualization-msgs",
    )
]
# The only release with wheels for Python 3.10 to 3.12, Linux on x86_64 alone; elsewhere the extra
# brings nothing, and the tests that need it skip.
CARLA = [
    "carla==0.9.16; "
    "python_version < '3.13' and sys_platform == 'linux' and platform_machine == 'x86_64'"
]
DEVELOPMENT = [
    "colcon-core",
    "colcon-package-information",
    "colcon-python-setup-py",
    "colcon-ros",
    "hypothesis",
    "matplotlib",
    "mypy",
    "pytest>=8",
    "pytest-timeout",
    "pytest-xdist>=3.7",
    "pytransform3d",
    "ruff",
    "shapely",
    "types-PyYAML",
]

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Bird's-eye-view perception for ROS 2: cameras in, occupancy grids out",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="bev_perception developers",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: package_files()},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared_files("config"),
        *shared_files("launch"),
    ],
    install_requires=[
        "av>=12",
        "jinja2>=3.1",
        "jsonargparse[signatures]>=4.35",
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pyyaml>=6",
        "rosbags>=0.11.9",
        "safetensors>=0.4.3",
        "scipy>=1.11",
        "setuptools",
        "torch>=2.4",
        "tqdm>=4.65",
    ],
    extras_require={
        "sim": SIMULATION,
        "train": TRAINING,
        "ros": ROS,
        "view": ["rerun-sdk>=0.39,<1"],
        "carla": CARLA,
        "openvino": ["openvino>=2024.4"],
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "tensorrt": ["tensorrt>=10"],
        "dev": DEVELOPMENT,
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "bev = bev_perception.cli.main:main",
            "perception_node = bev_perception.ros.perception_node:main",
            "simulation_node = bev_perception.ros.simulation_node:main",
            "carla_node = bev_perception.ros.carla_node:main",
            "carla_adapter_node = bev_perception.ros.carla_adapter_node:main",
        ]
    },
)
