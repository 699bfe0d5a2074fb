# SPDX-License-Identifier: Apache-2.0
"""One set-up for pip and for colcon (ament_python)."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "bev_perception"
HERE = Path(__file__).parent


def config_files() -> list[tuple[str, list[str]]]:
    """Every file under config/ with the share folder it is installed to."""
    folders = sorted({path.parent for path in (HERE / "config").rglob("*") if path.is_file()})
    return [
        (
            f"share/{PACKAGE}/{folder.relative_to(HERE)}",
            [str(path.relative_to(HERE)) for path in sorted(folder.iterdir()) if path.is_file()],
        )
        for folder in folders
    ]


SIMULATION = ["moderngl>=5.10"]
TRAINING = ["lightning>=2.4", "torchmetrics>=1.4", "tensorboard>=2.15"]
ROS = [
    f"ros-jazzy-{name}"
    for name in (
        "rclpy",
        "sensor-msgs",
        "nav-msgs",
        "geometry-msgs",
        "std-msgs",
        "std-srvs",
        "visualization-msgs",
        "diagnostic-msgs",
        "rmw-fastrtps-cpp",
    )
]
DEVELOPMENT = [
    "colcon-core",
    "colcon-package-information",
    "colcon-python-setup-py",
    "colcon-ros",
    "hypothesis",
    "mypy",
    "pytest>=8",
    "pytest-timeout",
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
    package_data={PACKAGE: ["py.typed", "**/*.safetensors", "**/*.html", "**/*.css", "**/*.glsl"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *config_files(),
    ],
    install_requires=[
        "av>=12",
        "jinja2>=3.1",
        "jsonargparse[signatures]>=4.35",
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pyyaml>=6",
        "rosbags>=0.10.9",
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
        "carla": ["carla==0.9.16"],
        "dev": DEVELOPMENT,
    },
    zip_safe=False,
    entry_points={"console_scripts": ["bev = bev_perception.cli.main:main"]},
)
