# SPDX-License-Identifier: Apache-2.0
"""Are there cameras, do their images come, and can they be read?"""

from __future__ import annotations

from collections.abc import Iterator

from bev_perception.bags.typestore import COMPRESSED_IMAGE, IMAGE
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import CameraTrack, Observation

_MOST_SHARE = 0.2


def check_cameras(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Camera topics, and images on them."""
    if not seen.cameras:
        images = sorted(t for t, kind in seen.topics.items() if kind in (IMAGE, COMPRESSED_IMAGE))
        there = ", ".join(images) or "none at all"
        yield Finding(
            "cameras",
            Severity.ERROR,
            f"no camera topics; topics of images are {there}",
            expected="images on topics such as /camera/front/image_raw or .../compressed",
            cause="other names" if images else "cameras were not recorded, or their drivers sleep",
            fix="name the image topics in a rig file (--rig)"
            if images
            else "start the drivers and record their topics; check ROS_DOMAIN_ID",
        )
    for problem in seen.problems:
        if "quaternion" not in problem and "not finite" not in problem:
            yield Finding(
                "cameras",
                Severity.ERROR,
                problem,
                expected="messages that can be read",
                cause="a damaged recording, or a sender that fills its messages wrongly",
                fix="mend the sender; leave the damaged part of the recording out",
            )
    for name, track in seen.cameras.items():
        if not len(track.log_ns) and not track.refusals:
            yield _no_images(seen, track, name)


def check_encoding(seen: Observation, _: Findings) -> Iterator[Finding]:
    """Images that cannot be read, and encodings that change."""
    for name, track in seen.cameras.items():
        total = max(1, len(track.log_ns) + track.damaged)
        for problem, count in track.refusals.most_common(3):
            share = count / total
            yield Finding(
                "encoding",
                Severity.ERROR if share > _MOST_SHARE else Severity.WARNING,
                f"{count} of {total} images cannot be read: {problem}",
                camera=name,
                expected="rgb8, bgr8, mono8 or another supported encoding, or whole JPEGs and PNGs",
                cause="the driver names another encoding or step than it sends, the camera's "
                "stream is cut off, or it is of a kind that is not supported",
                fix="correct the driver, or convert the topic (image_proc, republish)",
            )
        encodings = {form.encoding: 0 for form in track.forms}
        for form, count in track.forms.items():
            encodings[form.encoding] += count
        if len(encodings) > 1 and not track.refusals:
            counts = ", ".join(f"{name!r} {count}" for name, count in encodings.items())
            yield Finding(
                "encoding",
                Severity.WARNING,
                f"the encoding changes: {counts} images",
                camera=name,
                expected="one encoding",
                cause="two publishers on one topic, or a driver that switches modes",
                fix=f"stop one of the publishers of {track.topics.image_topic}",
            )


def _no_images(seen: Observation, track: CameraTrack, name: str) -> Finding:
    topic = track.topics.image_topic
    who = ", ".join(seen.publishers.get(topic, ()))
    return Finding(
        "cameras",
        Severity.ERROR,
        f"no image on {topic}" + (f", although {who} publishes it" if who else ""),
        camera=name,
        expected="images",
        cause="the camera or its driver does not run, or its QoS did not fit the recorder's",
        fix="look at the driver; `ros2 topic info -v TOPIC` tells who publishes and with which QoS",
    )
