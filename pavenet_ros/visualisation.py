"""People as something to see: a picture, RViz markers, Foxglove annotations; pure functions."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pavenet_core.drawing import draw_poses, limb_color
from pavenet_core.image_codec import Picture
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

KEYPOINT_THRESHOLD = 0.3  # keypoints with a lower score are not shown
# Markers stand where a camera with this focal length would see them, at this distance.
FOCAL_LENGTH_PX, DISTANCE_M = 1000.0, 1.0
LIMB_WIDTH_M, JOINT_WIDTH_M = 0.004, 0.008
MARKER_LIFETIME_S = 1
LINE_WIDTH_PX, POINT_WIDTH_PX = 3.0, 6.0

Stroke = tuple[int] | tuple[int, int]  # the keypoint of a joint, or both of a limb


def to_annotated_image(image: Picture, poses: Poses, skeleton: Skeleton, header: Header) -> Image:
    """Return a copy of the picture with the people drawn on."""
    drawn = draw_poses(image, poses, skeleton, keypoint_threshold=KEYPOINT_THRESHOLD)
    height, width = drawn.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width)
    msg.data.frombytes(np.ascontiguousarray(drawn))  # the only quick way in
    return msg


def to_markers(
    poses: Poses, skeleton: Skeleton, header: Header, size: tuple[int, int]
) -> MarkerArray:
    """
    Return the people on a plane before the camera, for RViz.

    The frame is the image's, taken as an optical one: x right, y down, z forward. The picture's
    centre, from `size` (width, height), is on the optical axis.
    """
    limbs = _marker(header, 'limbs', Marker.LINE_LIST, LIMB_WIDTH_M)
    joints = _marker(header, 'joints', Marker.SPHERE_LIST, JOINT_WIDTH_M)
    for points, seen_limbs, seen_joints in _seen(poses, skeleton):
        places = (points - np.array(size) / 2) / FOCAL_LENGTH_PX * DISTANCE_M
        for marker, strokes in ((limbs, seen_limbs), (joints, seen_joints)):
            for stroke in strokes:
                color = ColorRGBA(**_rgba(skeleton, stroke))
                marker.points.extend(_point(places[end]) for end in stroke)
                marker.colors.extend(color for _ in stroke)
    for marker in (limbs, joints):
        if not marker.points:  # RViz warns about a list without points
            marker.action = Marker.DELETE
    return MarkerArray(markers=[limbs, joints])


def to_annotations(poses: Poses, skeleton: Skeleton, header: Header, msgs: ModuleType) -> Any:
    """Return the people as lines and points for Foxglove; `msgs` is `foxglove_msgs.msg`."""
    lines, dots = msgs.PointsAnnotation.LINE_LIST, msgs.PointsAnnotation.POINTS
    annotations = msgs.ImageAnnotations()
    for points, limbs, joints in _seen(poses, skeleton):
        for kind, strokes, width in (
            (lines, limbs, LINE_WIDTH_PX),
            (dots, joints, POINT_WIDTH_PX),
        ):
            ends = [end for stroke in strokes for end in stroke]
            colors = [msgs.Color(**_rgba(skeleton, stroke)) for stroke in strokes]
            annotation = msgs.PointsAnnotation(
                timestamp=header.stamp, type=kind, outline_colors=colors, thickness=width
            )
            annotation.points = [msgs.Point2(x=x, y=y) for x, y in points[ends].tolist()]
            annotations.points.append(annotation)
    return annotations


def _seen(
    poses: Poses, skeleton: Skeleton
) -> Iterator[tuple[NDArray[np.float32], list[Stroke], list[Stroke]]]:
    """Yield each person's keypoints (K, 2), and the limbs and the joints that are seen."""
    for points, scores in zip(poses.keypoints_px, poses.keypoint_scores, strict=True):
        joints = np.flatnonzero(scores >= KEYPOINT_THRESHOLD).tolist()
        limbs: list[Stroke] = [(a, b) for a, b in skeleton.edges if a in joints and b in joints]
        yield points, limbs, [(joint,) for joint in joints]


def _marker(header: Header, namespace: str, kind: int, width_m: float) -> Marker:
    scale = Vector3(x=width_m, y=width_m, z=width_m)  # of a line, x alone counts
    marker = Marker(header=header, ns=namespace, type=kind, action=Marker.ADD, scale=scale)
    marker.pose.orientation.w = 1.0
    marker.lifetime = Duration(sec=MARKER_LIFETIME_S)
    return marker


def _point(place: NDArray[np.float32]) -> Point:
    return Point(x=float(place[0]), y=float(place[1]), z=DISTANCE_M)


def _rgba(skeleton: Skeleton, stroke: Stroke) -> dict[str, float]:
    blue, green, red = (channel / 255 for channel in limb_color(skeleton, stroke[0], stroke[-1]))
    return {'r': red, 'g': green, 'b': blue, 'a': 1.0}
