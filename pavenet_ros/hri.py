"""
People on the topics of REP-155, where `hri_msgs` is installed.

REP-155 names bodies by ids that follow a person: body7 is the person with the id 7, and who has
none is left out. Without identities a body's id is its rank in the image: body1 is the surest one
of this image and may be somebody else in the next.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton
from pavenet_ros.qos_events import PublisherEventCallbacks

BODIES = '/humans/bodies'
QOS = QoSProfile(depth=1)
KEPT_IMAGES = 30  # how long the topics of a body stay that is not seen
# The order of hri_msgs/Skeleton2D, by our names; its neck lies between the shoulders.
NAMES = (
    *('nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist'),
    *('left_shoulder', 'left_elbow', 'left_wrist', 'right_hip', 'right_knee', 'right_ankle'),
    *('left_hip', 'left_knee', 'left_ankle', 'left_eye', 'right_eye', 'left_ear', 'right_ear'),
)


def load_hri_msgs() -> ModuleType:
    """Return the package's messages; raise `ValueError` in one sentence if it is not there."""
    try:
        return import_module('hri_msgs.msg')
    except ImportError as error:
        raise ValueError(
            f'publish_hri needs the package hri_msgs, which can not be imported ({error}); '
            'install ros-$ROS_DISTRO-hri-msgs, or leave publish_hri false'
        ) from error


@dataclass
class _Body:
    box: Publisher
    skeleton: Publisher
    missed: int = 0  # images in a row


class HriBodies:
    """Publish the list of bodies, and of each its box and its skeleton."""

    def __init__(self, node: Node, msgs: ModuleType, skeleton: Skeleton) -> None:
        self._node = node
        self._msgs = msgs
        self._skeleton = skeleton
        self._tracked = node.create_publisher(msgs.IdsList, f'{BODIES}/tracked', QOS)
        self._bodies: dict[str, _Body] = {}

    @property
    def is_wanted(self) -> bool:
        """Say whether somebody listens to the list of bodies."""
        return bool(self._tracked.get_subscription_count())

    def publish(self, poses: Poses, header: Header, size: tuple[int, int]) -> None:
        """Publish the people of one image of that width and height."""
        bodies = _body_ids(poses)
        for person, name in bodies.items():
            body = self._bodies.get(name) or self._add(name)
            shares = np.clip(poses.keypoints_px[person] / np.array(size), 0, 1)
            scores = poses.keypoint_scores[person]
            body.box.publish(self._to_box(shares, float(poses.scores[person]), header))
            body.skeleton.publish(self._to_skeleton(shares, scores, header))
        ids = list(bodies.values())
        self._tracked.publish(self._msgs.IdsList(header=header, ids=ids))
        self._retire(set(ids))

    def destroy(self) -> None:
        """Take the publishers down."""
        self._node.destroy_publisher(self._tracked)
        for name in list(self._bodies):
            self._remove(name)

    def publish_nobody(self) -> None:
        """Tell that no body is tracked any more."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._tracked.publish(self._msgs.IdsList(header=header, ids=[]))

    def _retire(self, seen: set[str]) -> None:
        """Take the topics of those down who were not seen for long."""
        for name, body in list(self._bodies.items()):
            body.missed = 0 if name in seen else body.missed + 1
            if body.missed > KEPT_IMAGES:
                self._remove(name)

    def _remove(self, name: str) -> None:
        body = self._bodies.pop(name)
        self._node.destroy_publisher(body.box)
        self._node.destroy_publisher(body.skeleton)

    def _add(self, name: str) -> _Body:
        self._bodies[name] = _Body(
            self._publisher(self._msgs.NormalizedRegionOfInterest2D, f'{name}/roi'),
            self._publisher(self._msgs.Skeleton2D, f'{name}/skeleton2d'),
        )
        return self._bodies[name]

    def _publisher(self, kind: type, topic: str) -> Publisher:
        # Bodies come and go in the worker's thread. The executor waits for the events of a
        # publisher, and one that goes meanwhile would end the node: so these have none.
        silent = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(kind, f'{BODIES}/{topic}', QOS, event_callbacks=silent)

    def _to_box(self, shares: Any, score: float, header: Header) -> Any:
        (xmin, ymin), (xmax, ymax) = shares.min(axis=0).tolist(), shares.max(axis=0).tolist()
        return self._msgs.NormalizedRegionOfInterest2D(
            header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=score
        )

    def _to_skeleton(self, shares: Any, scores: Any, header: Header) -> Any:
        places = zip(shares.tolist(), scores.tolist(), strict=True)
        found = dict(zip(self._skeleton.names, places, strict=True))
        left, right = found.get('left_shoulder'), found.get('right_shoulder')
        if left and right:
            middle = [(a + b) / 2 for a, b in zip(left[0], right[0], strict=True)]
            found['neck'] = (middle, min(left[1], right[1]))
        nothing = ([0.0, 0.0], 0.0)
        return self._msgs.Skeleton2D(
            header=header,
            skeleton=[
                self._msgs.NormalizedPointOfInterest2D(x=x, y=y, c=c)
                for (x, y), c in (found.get(name, nothing) for name in NAMES)
            ],
        )


def _body_ids(poses: Poses) -> dict[int, str]:
    """Return the names of those who have one, by their index."""
    if poses.ids is None:
        return {rank: f'body{rank + 1}' for rank in range(len(poses))}
    return {person: f'body{name}' for person, name in enumerate(poses.id_names) if name}
