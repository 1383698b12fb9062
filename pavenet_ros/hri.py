"""
People on the topics of REP-155, where `hri_msgs` is installed.

REP-155 names bodies by ids that follow a person. The model gives none, so a body's id is its rank
in the image: body1 is the surest one of this image and may be somebody else in the next.
"""

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

BODIES = '/humans/bodies'
QOS = QoSProfile(depth=1)
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


class HriBodies:
    """Publish the list of bodies, and of each its box and its skeleton."""

    def __init__(self, node: Node, msgs: ModuleType, skeleton: Skeleton) -> None:
        self._node = node
        self._msgs = msgs
        self._skeleton = skeleton
        self._tracked = node.create_publisher(msgs.IdsList, f'{BODIES}/tracked', QOS)
        self._bodies: list[tuple[Publisher, Publisher]] = []  # box and skeleton, by rank

    @property
    def is_wanted(self) -> bool:
        """Say whether somebody listens to the list of bodies."""
        return bool(self._tracked.get_subscription_count())

    def publish(self, poses: Poses, header: Header, size: tuple[int, int]) -> None:
        """Publish the people of one image of that width and height."""
        people = zip(poses.keypoints_px, poses.keypoint_scores, poses.scores, strict=True)
        for rank, (points, scores, score) in enumerate(people):
            if rank == len(self._bodies):
                self._bodies.append(self._publishers(rank))
            box, skeleton = self._bodies[rank]
            shares = np.clip(points / np.array(size), 0, 1)
            box.publish(self._to_box(shares, float(score), header))
            skeleton.publish(self._to_skeleton(shares, scores, header))
        ids = [_body_id(rank) for rank in range(len(poses))]
        self._tracked.publish(self._msgs.IdsList(header=header, ids=ids))

    def destroy(self) -> None:
        """Take the publishers down."""
        for publisher in (self._tracked, *(each for body in self._bodies for each in body)):
            self._node.destroy_publisher(publisher)

    def publish_nobody(self) -> None:
        """Tell that no body is tracked any more."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._tracked.publish(self._msgs.IdsList(header=header, ids=[]))

    def _publishers(self, rank: int) -> tuple[Publisher, Publisher]:
        topic = f'{BODIES}/{_body_id(rank)}'
        return (
            self._node.create_publisher(
                self._msgs.NormalizedRegionOfInterest2D, f'{topic}/roi', QOS
            ),
            self._node.create_publisher(self._msgs.Skeleton2D, f'{topic}/skeleton2d', QOS),
        )

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


def _body_id(rank: int) -> str:
    return f'body{rank + 1}'
