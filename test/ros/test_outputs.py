"""What a camera's topics carry, and that nobody's topic is made."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import Image
from std_msgs.msg import Float64, Header
from visualization_msgs.msg import Marker, MarkerArray

from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17, POSETRACK15
from pavenet_ros import outputs
from pavenet_ros.hri import NAMES, HriBodies
from pavenet_ros.visualisation import to_annotated_image, to_annotations, to_markers

SIZE = (640, 480)
HEADER = Header(frame_id='camera_optical')
HEADER.stamp.sec, HEADER.stamp.nanosec = 12, 34
TOPICS = {
    'image_annotated': Image,
    'markers': MarkerArray,
    'debug/processing_time_ms': Float64,
    'debug/pipeline_latency_ms': Float64,
}


def person(*, seen: tuple[int, ...] = tuple(range(17))) -> Poses:
    """Return one person whose keypoint k is at (10 k, 240), of whom some keypoints are seen."""
    points = np.zeros((1, 17, 2), np.float32)
    points[0, :, 0], points[0, :, 1] = np.arange(17) * 10, 240
    scores = np.zeros((1, 17), np.float32)
    scores[0, list(seen)] = 0.9
    return Poses(0, points, scores, np.array([0.8], np.float32))


def test_annotated_image_has_the_picture_and_the_people() -> None:
    picture = np.full((480, 640, 3), 50, np.uint8)
    msg = to_annotated_image(picture, person(), COCO17, HEADER)
    assert msg.header == HEADER
    assert (msg.height, msg.width, msg.encoding, msg.step) == (480, 640, 'bgr8', 1920)
    drawn = np.frombuffer(msg.data, np.uint8).reshape(480, 640, 3)
    assert (drawn[0] == 50).all()
    assert (drawn[240, :160] != 50).any(axis=-1).mean() > 0.8
    assert (picture == 50).all()


def test_markers_stand_where_a_camera_would_see_them() -> None:
    left_arm = (5, 7)
    limbs, joints = to_markers(person(seen=left_arm), COCO17, HEADER, SIZE).markers
    assert limbs.header == joints.header == HEADER
    assert (limbs.type, joints.type) == (Marker.LINE_LIST, Marker.SPHERE_LIST)
    assert limbs.action == joints.action == Marker.ADD
    # Keypoint 5 is at 50 of 640 pixels, on the middle line: 270 left of the centre.
    places = [(p.x, p.y, p.z) for p in limbs.points]
    np.testing.assert_allclose(places, [(-0.27, 0, 1), (-0.25, 0, 1)], atol=1e-6)
    assert limbs.points == joints.points
    assert len(limbs.colors) == len(joints.colors) == 2
    assert limbs.colors[0].r == 1.0  # the left side is orange
    assert limbs.lifetime.sec > 0


def test_nobody_takes_the_markers_away() -> None:
    nobody = person().above(0.9)
    markers = to_markers(nobody, COCO17, HEADER, SIZE).markers
    assert [marker.action for marker in markers] == [Marker.DELETE] * 2
    assert not any(marker.points for marker in markers)


class FakeMessages(SimpleNamespace):
    """Message classes of a package that is not installed: they keep what they are given."""

    def __getattr__(self, name: str) -> Any:
        def make(**fields: Any) -> SimpleNamespace:
            return SimpleNamespace(**{'points': []} | fields)

        make.LINE_LIST, make.POINTS = 4, 1  # type: ignore[attr-defined]
        return make


def test_annotations_are_lines_and_points_in_pixels() -> None:
    annotations = to_annotations(person(seen=(5, 7)), COCO17, HEADER, FakeMessages())
    lines, dots = annotations.points
    assert (lines.type, dots.type) == (4, 1)
    assert lines.timestamp == dots.timestamp == HEADER.stamp
    assert [(p.x, p.y) for p in lines.points] == [(50, 240), (70, 240)]
    assert [(p.x, p.y) for p in dots.points] == [(50, 240), (70, 240)]
    assert (len(lines.outline_colors), len(dots.outline_colors)) == (1, 2)


class FakeNode:
    """Keeps what its publishers are given, by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}

    def create_publisher(self, kind: Any, topic: str, qos: Any, **options: Any) -> Any:
        return SimpleNamespace(publish=lambda msg: self.sent.__setitem__(topic, msg), topic=topic)

    def destroy_publisher(self, publisher: Any) -> None:
        del self.sent[publisher.topic]


def test_bodies_have_the_points_of_rep_155() -> None:
    node = FakeNode()
    HriBodies(node, FakeMessages(), COCO17).publish(person(), HEADER, SIZE)  # type: ignore[arg-type]
    assert node.sent['/humans/bodies/tracked'].ids == ['body1']
    box = node.sent['/humans/bodies/body1/roi']
    assert (box.xmin, box.xmax, box.ymin, box.ymax) == (0, 0.25, 0.5, 0.5)
    body = node.sent['/humans/bodies/body1/skeleton2d']
    assert body.header == HEADER
    assert len(body.skeleton) == 18
    places = {
        name: (round(p.x * 640), round(p.y * 480))
        for name, p in zip(NAMES, body.skeleton, strict=True)
    }
    expected = {name: (10 * k, 240) for k, name in enumerate(COCO17.names)}
    # The shoulders are keypoints 5 and 6.
    assert places == expected | {'neck': (55, 240)}
    assert body.skeleton[1].c == body.skeleton[2].c > 0.8  # the less sure of the shoulders


def test_bodies_are_named_by_the_ids_of_people_and_go_when_they_are_gone() -> None:
    node = FakeNode()
    bodies = HriBodies(node, FakeMessages(), COCO17)  # type: ignore[arg-type]
    two = person().take([0, 0])
    bodies.publish(replace(two, ids=np.array([7, 0])), HEADER, SIZE)
    assert node.sent['/humans/bodies/tracked'].ids == ['body7']
    for _ in range(30):
        bodies.publish(replace(two, ids=np.array([0, 9])), HEADER, SIZE)
    assert node.sent['/humans/bodies/tracked'].ids == ['body9']
    assert '/humans/bodies/body7/roi' in node.sent
    bodies.publish(replace(two, ids=np.array([0, 9])), HEADER, SIZE)
    kept = ('tracked', 'body9/roi', 'body9/skeleton2d')
    assert set(node.sent) == {f'/humans/bodies/{x}' for x in kept}
    bodies.destroy()
    assert set(node.sent) == set()


def test_the_executor_waits_for_nothing_of_a_body_that_the_worker_may_take_away(
    make_robot: Callable[..., Any],
) -> None:
    kinds = 'IdsList', 'NormalizedRegionOfInterest2D', 'Skeleton2D'
    robot = make_robot()
    bodies = HriBodies(robot.node, SimpleNamespace(**dict.fromkeys(kinds, Header)), COCO17)  # type: ignore[arg-type]
    before = list(robot.node.waitables)
    bodies._add('body1')
    assert list(robot.node.waitables) == before


def test_a_skeleton_without_eyes_leaves_them_at_no_confidence() -> None:
    node = FakeNode()
    poses = person()
    short = Poses(0, poses.keypoints_px[:, :15], poses.keypoint_scores[:, :15], poses.scores)
    HriBodies(node, FakeMessages(), POSETRACK15).publish(short, HEADER, SIZE)  # type: ignore[arg-type]
    body = node.sent['/humans/bodies/body1/skeleton2d']
    surest = {name: p.c for name, p in zip(NAMES, body.skeleton, strict=True)}
    assert surest['left_eye'] == 0
    assert surest['left_wrist'] > 0.8


@pytest.mark.parametrize('name', TOPICS)
def test_each_topic_alone_is_enough_to_be_answered(
    make_robot: Callable[..., Any], make_image: Callable[..., Any], name: str
) -> None:
    robot = make_robot().activate()
    messages = robot.listen(TOPICS[name], f'/pose_node/{name}')
    stamp = robot.node.get_clock().now().nanoseconds
    robot.camera().publish(make_image(stamp))
    robot.wait_for(lambda: messages)
    if TOPICS[name] is Float64:
        assert 0 < messages[0].data < 20_000


def test_what_nobody_listens_to_is_not_made(
    make_robot: Callable[..., Any],
    make_image: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for maker in ('to_pose_array', 'to_annotated_image', 'to_markers'):
        monkeypatch.setattr(outputs, maker, lambda *args, **named: 1 / 0)
    robot = make_robot().activate()
    messages = robot.listen(Float64, '/pose_node/debug/processing_time_ms')
    robot.camera().publish(make_image(1))
    robot.wait_for(lambda: messages)
    assert robot.counts().answered == 1


def test_annotations_arrive(
    make_robot: Callable[..., Any], make_image: Callable[..., Any]
) -> None:
    msgs = pytest.importorskip('foxglove_msgs.msg', reason='needs foxglove_msgs')
    robot = make_robot().activate()
    messages = robot.listen(msgs.ImageAnnotations, '/pose_node/annotations')
    image = make_image(12)
    robot.camera().publish(image)
    robot.wait_for(lambda: messages)
    kinds = [annotation.type for annotation in messages[0].points]
    assert kinds == [msgs.PointsAnnotation.LINE_LIST, msgs.PointsAnnotation.POINTS] * 3
    assert {annotation.timestamp.nanosec for annotation in messages[0].points} == {12}


def test_bodies_arrive_and_go(
    make_robot: Callable[..., Any], make_image: Callable[..., Any]
) -> None:
    msgs = pytest.importorskip('hri_msgs.msg', reason='needs hri_msgs')
    robot = make_robot(publish_hri=True).activate()
    tracked = robot.listen(msgs.IdsList, '/humans/bodies/tracked')
    bodies: list[Any] = []
    robot.world.create_subscription(
        msgs.Skeleton2D, '/humans/bodies/body2/skeleton2d', bodies.append, 10
    )
    image, camera = make_image(1), robot.camera()
    camera.publish(image)
    robot.wait_for(lambda: tracked)
    assert tracked[0].header == image.header
    assert tracked[0].ids == ['body1', 'body2', 'body3']
    robot.wait_for(lambda: robot.node.count_subscribers('/humans/bodies/body2/skeleton2d'))
    robot.spin(0.5)
    camera.publish(make_image(2))
    robot.wait_for(lambda: bodies)
    assert len(bodies[0].skeleton) == 18
    robot.node.trigger_deactivate()
    robot.wait_for(lambda: tracked[-1].ids == [])
    robot.node.trigger_cleanup()
    robot.wait_for(lambda: robot.world.count_publishers('/humans/bodies/tracked') == 0)
