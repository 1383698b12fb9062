"""ROS messages to our values and back; pure functions."""

from typing import TypeAlias

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from pavenet_core.compressed_codec import decode_compressed
from pavenet_core.image_codec import (
    ENCODINGS,
    ImageCodecError,
    Picture,
    check_size,
    decode_image,
)
from pavenet_core.poses import UNKNOWN, Frame, Poses
from pavenet_core.skeleton import Skeleton
from pavenet_ros.msg import BoundingBox, Keypoint, PersonPose, PersonPoseArray, SkeletonInfo

ImageMessage: TypeAlias = Image | CompressedImage


def stamp_ns(header: Header) -> int:
    """Return the time of a header in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def to_picture(msg: ImageMessage) -> Picture:
    """Return the picture of an image message in BGR; `ImageCodecError` if it can't be read."""
    if isinstance(msg, CompressedImage):
        return decode_compressed(msg.data, msg.format)
    if msg.encoding in ENCODINGS:
        return decode_image(msg.data, msg.encoding, msg.width, msg.height, msg.step)
    check_size(msg.width, msg.height)
    return _decode_with_cv_bridge(msg)


def to_frame(msg: ImageMessage) -> Frame:
    """Return the picture and stamp of an image message; `ImageCodecError` if it can't be read."""
    return Frame(to_picture(msg), stamp_ns(msg.header))


def _decode_with_cv_bridge(msg: Image) -> Picture:
    """Read the rare encodings (16 bit, float) where a cv_bridge is there that works."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError) as error:  # under NumPy 2 its C++ half can't be imported
        raise ImageCodecError(
            'encoding',
            f'images of encoding {msg.encoding!r} need cv_bridge, which is not usable here '
            f'({error}); without it: {", ".join(ENCODINGS)}',
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, 'bgr8'), np.uint8)
    # AttributeError: under NumPy 2 it can't turn round the bytes of a big-endian image.
    except (CvBridgeError, cv2.error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImageCodecError(
            'encoding', f'cv_bridge cannot read {msg.encoding!r}: {error}'
        ) from error


def to_pose_array(
    poses: Poses, *, header: Header, size: tuple[int, int], model: str, skeleton: str
) -> PersonPoseArray:
    """Return the people of the image that came with this header; `size` is its width, height."""
    # Plain Python floats in one go: building messages from numpy scalars takes twice as long.
    people = zip(
        *(poses.id_names, poses.scores.tolist(), poses.bboxes_px.tolist()),
        *(poses.keypoints_px.tolist(), poses.keypoint_scores.tolist()),
        strict=True,
    )
    return PersonPoseArray(
        header=header,
        image_width=size[0],
        image_height=size[1],
        model=model,
        skeleton=skeleton,
        poses=[_to_person(*person) for person in people],
    )


def _to_person(
    name: str,
    score: float,
    bbox: list[float],
    points: list[list[float]],
    point_scores: list[float],
) -> PersonPose:
    x, y, width, height = bbox
    return PersonPose(
        id=name,
        score=score,
        bbox=BoundingBox(x=x, y=y, width=width, height=height),
        keypoints=[
            Keypoint(x=x, y=y, score=score)
            for (x, y), score in zip(points, point_scores, strict=True)
        ],
    )


def to_skeleton_info(skeleton: Skeleton) -> SkeletonInfo:
    """Return the facts that a consumer needs to read and draw the keypoints."""
    return SkeletonInfo(
        name=skeleton.name,
        keypoint_names=list(skeleton.names),
        edges=[index for edge in skeleton.edges for index in edge],
        flip_pairs=[index for pair in skeleton.flip_pairs for index in pair],
        sigmas=list(skeleton.sigmas),
    )


def from_pose_array(msg: PersonPoseArray) -> Poses:
    """Return the people of a message, as `to_pose_array` was given them."""
    points = [[(k.x, k.y, k.score) for k in person.keypoints] for person in msg.poses]
    keypoints = np.array(points, np.float32) if points else np.zeros((0, 0, 3), np.float32)
    scores = np.array([person.score for person in msg.poses], np.float32)
    names = [person.id for person in msg.poses]
    ids = np.array([int(name) if name.isdecimal() else UNKNOWN for name in names], np.int64)
    return Poses(stamp_ns(msg.header), keypoints[..., :2], keypoints[..., 2], scores, ids=ids)


def from_skeleton_info(msg: SkeletonInfo) -> Skeleton:
    """Return the skeleton of a message, as `to_skeleton_info` was given it."""
    return Skeleton(
        name=msg.name,
        names=tuple(msg.keypoint_names),
        edges=tuple(zip(msg.edges[::2], msg.edges[1::2], strict=True)),
        flip_pairs=tuple(zip(msg.flip_pairs[::2], msg.flip_pairs[1::2], strict=True)),
        sigmas=tuple(msg.sigmas),
    )
