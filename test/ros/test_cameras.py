"""Cameras of every kind: several on one node, compressed ones, careless and broken ones."""

import time
from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from pavenet_ros import camera_stats, diagnostics, health
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.image_subscription import ImageSubscription
from pavenet_ros.memory import resident_mib
from pavenet_ros.msg import PersonPoseArray

Maker = Callable[..., Any]
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def compressed(stamp: int, brightness: int = 100) -> CompressedImage:
    picture = np.full((40, 60, 3), brightness, np.uint8)
    msg = CompressedImage(format='bgr8; jpeg compressed bgr8')
    msg.header.stamp.nanosec = stamp
    msg.data = array('B', cv2.imencode('.jpg', picture)[1].tobytes())
    return msg


def publisher(robot: Any, topic: str, qos: QoSProfile) -> Any:
    """Return a publisher without rclpy's own warning of misfits, which is deprecated."""
    silent = PublisherEventCallbacks(use_default_callbacks=False)
    return robot.world.create_publisher(Image, topic, qos, event_callbacks=silent)


def answered(robot: Any, camera: Any, poses: list[Any], image: Any) -> None:
    """Publish an image until it is answered: right after a change of publishers it may be lost."""
    stamp = stamp_ns(image.header)
    deadline = time.monotonic() + 20
    while stamp not in {stamp_ns(msg.header) for msg in poses}:
        assert time.monotonic() < deadline, 'no answer'
        camera.publish(image)
        robot.spin(0.1)


def test_cameras_have_topics_and_headers_of_their_own(
    make_robot: Maker, make_image: Maker
) -> None:
    robot = make_robot(cameras=['front', 'rear']).activate()
    names = {name for name, _ in robot.world.get_topic_names_and_types()}
    assert {'/front/poses', '/rear/poses', '/pose_node/skeleton'} <= names
    assert {'/pose_node/front/markers', '/pose_node/rear/image_annotated'} <= names
    assert '/poses' not in names
    front = robot.listen(PersonPoseArray, '/front/poses')
    rear = robot.listen(PersonPoseArray, '/rear/poses')
    cameras = [robot.camera(f'/{name}/image') for name in ('front', 'rear')]
    # The same stamps: neither camera's image is taken for a repetition of the other's.
    for stamp in (1, 2, 3):
        cameras[0].publish(make_image(stamp, frame_id='front'))
        cameras[1].publish(make_image(stamp, frame_id='rear', brightness=0))
        robot.wait_for(lambda stamp=stamp: len(front) == len(rear) == stamp)
    for messages, name, people in ((front, 'front', 3), (rear, 'rear', 0)):
        assert [(m.header.frame_id, stamp_ns(m.header)) for m in messages] == [
            (name, stamp) for stamp in (1, 2, 3)
        ]
        assert {len(m.poses) for m in messages} == {people}
    assert robot.counts(0).new_videos == {}


def test_a_fast_camera_leaves_the_slow_one_its_turn(
    make_robot: Maker, make_image: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = make_robot(cameras=['fast', 'slow'], always_infer=True).activate()
    model = robot.node._model
    encode = model.spatial_encoder

    def slowly(image: Any) -> Any:
        time.sleep(0.04)
        return encode(image)

    monkeypatch.setattr(model, 'spatial_encoder', slowly)
    fast, slow = robot.camera('/fast/image'), robot.camera('/slow/image')
    for stamp in range(1, 201):  # 100 Hz and 5 Hz into 25 Hz
        fast.publish(make_image(stamp))
        if stamp % 20 == 0:
            slow.publish(make_image(stamp))
        robot.spin(0.01)
    robot.spin(0.2)
    assert robot.counts(1).received == 10
    assert robot.counts(1).answered >= 9
    counts = robot.counts(0)
    assert counts.drops[camera_stats.REPLACED] > counts.answered > 20
    assert counts.received == counts.answered + sum(counts.drops.values())


def test_compressed_images_need_only_the_raw_topic_s_name(make_robot: Maker) -> None:
    robot = make_robot('-r', 'image:=/cam/image_raw', image_transport='compressed').activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera('/cam/image_raw/compressed', CompressedImage)
    camera.publish(compressed(1))
    robot.wait_for(lambda: poses)
    assert stamp_ns(poses[0].header) == 1
    assert len(poses[0].poses) == 3
    assert (poses[0].image_width, poses[0].image_height) == (60, 40)


def test_the_transport_changes_while_active(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    robot.camera().publish(make_image(1))
    robot.wait_for(lambda: poses)
    assert robot.set(image_transport='compressed') == []
    camera = robot.camera('/image/compressed', CompressedImage)
    robot.wait_for(lambda: robot.world.count_subscribers('/image') == 0)
    camera.publish(compressed(2))
    robot.wait_for(lambda: len(poses) == 2)


def test_auto_follows_the_publishers_that_come_and_go(
    make_robot: Maker, make_image: Maker
) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    subscription = robot.node._cameras[0].subscription
    careless = publisher(robot, '/image', BEST_EFFORT)
    answered(robot, careless, poses, make_image(1))
    careful = publisher(robot, '/image', RELIABLE)
    answered(robot, careful, poses, make_image(2))
    answered(robot, careless, poses, make_image(3))
    assert subscription._reliability == ReliabilityPolicy.BEST_EFFORT
    robot.world.destroy_publisher(careless)
    robot.wait_for(lambda: subscription._reliability == ReliabilityPolicy.RELIABLE)
    answered(robot, careful, poses, make_image(4))
    again = publisher(robot, '/image', BEST_EFFORT)
    answered(robot, again, poses, make_image(5))


def test_auto_turns_best_effort_at_the_first_misfit(
    make_robot: Maker, make_image: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the look once a second."""
    monkeypatch.setattr(ImageSubscription, 'follow_publishers', lambda self: None)
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    answered(robot, publisher(robot, '/image', BEST_EFFORT), poses, make_image(1))


def test_reliability_asked_for_is_kept_until_changed(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot(image_qos='reliable').activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = publisher(robot, '/image', BEST_EFFORT)
    for stamp in range(1, 4):
        camera.publish(make_image(stamp))
        robot.spin(0.1)
    assert poses == []
    assert robot.set(image_qos='auto') == []
    answered(robot, camera, poses, make_image(9))
    assert robot.set(image_qos='best_effort') == []
    answered(robot, camera, poses, make_image(10))


def status(diagnostics: list[DiagnosticArray], word: str) -> DiagnosticStatus:
    """Return the newest status whose name has this word."""
    found = [s for array in diagnostics for s in array.status if word in s.name]
    return found[-1] if found else DiagnosticStatus()


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_silence_names_the_topic_and_who_publishes_how(
    make_robot: Maker, make_image: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (diagnostics, health):
        monkeypatch.setattr(module, 'SILENCE_S', 1.0)
    robot = make_robot('-r', 'image:=/cam/image', image_qos='reliable').activate()
    reports = robot.listen(DiagnosticArray, '/diagnostics')
    robot.wait_for(lambda: 'nobody publishes' in status(reports, 'images').message)
    camera = publisher(robot, '/cam/image', BEST_EFFORT)
    robot.wait_for(lambda: '/world' in status(reports, 'images').message)
    report = status(reports, 'images of /cam/image')
    assert report.level == DiagnosticStatus.ERROR
    assert report.message.startswith('no image for ')
    assert 'subscribes to sensor_msgs/msg/Image reliable' in report.message
    assert '/world publishes sensor_msgs/msg/Image best effort' in report.message
    robot.set(image_qos='auto', always_infer=True)

    def publish() -> bool:
        camera.publish(make_image(time.monotonic_ns()))
        return bool(status(reports, 'images').message == 'answering')

    robot.wait_for(publish)


def test_diagnostics_have_rates_ages_drops_and_the_model(
    make_robot: Maker, make_image: Maker
) -> None:
    robot = make_robot().activate()
    reports = robot.listen(DiagnosticArray, '/diagnostics')
    robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    bad = make_image(1)
    bad.encoding = 'what?'
    for i in range(25):
        now = robot.node.get_clock().now().nanoseconds
        camera.publish(bad if i == 10 else make_image(now))
        robot.spin(0.08)
    model, images = status(reports, 'pose_node: model'), status(reports, 'images of /image')
    assert (model.level, model.message) == (DiagnosticStatus.OK, 'active')
    assert values(model)['execution provider'] == 'CPUExecutionProvider'
    assert values(model)['model'] == 'stand-in 1'
    assert float(values(model)['memory (MiB)']) == pytest.approx(resident_mib(), rel=0.2)
    assert images.level == DiagnosticStatus.WARN
    assert images.message == 'images that can not be read: 1 unreadable: encoding'
    numbers = values(images)
    assert numbers['dropped: unreadable: encoding'] == '1'
    assert 5 < float(numbers['images in (Hz)']) < 14
    assert 5 < float(numbers['results out (Hz)']) < 14
    assert 0 < float(numbers['age of the last result (ms)']) < 1000
    assert 0 < float(numbers['processing time of the last result (ms)']) < 1000
    robot.node.trigger_deactivate()
    robot.wait_for(lambda: status(reports, 'model').message == 'inactive')
    assert [s.name for s in reports[-1].status] == ['pose_node: model']


def broken_images(make_image: Maker) -> list[tuple[str, Image]]:
    def changed(**fields: Any) -> Image:
        msg = make_image(1)
        for name, value in fields.items():
            setattr(msg, name, value)
        return msg

    return [
        ('encoding', changed(encoding='')),
        ('encoding', changed(encoding='BGR8')),
        ('encoding', changed(encoding='32FC4')),
        ('size', changed(width=0)),
        ('size', changed(height=0)),
        ('size', changed(width=2**32 - 1, height=2**32 - 1)),
        ('size', changed(width=20_000, height=20_000)),
        ('size', changed(encoding='nv12', height=41)),
        ('step', changed(step=0)),
        ('step', changed(step=179)),
        ('data', changed(step=2**32 - 1)),
        ('data', changed(data=array('B'))),
        ('data', changed(data=array('B', bytes(7199)))),
        ('data', changed(height=41)),
    ]


def test_bad_images_are_told_counted_and_survived(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    broken = broken_images(make_image)
    for number, (_, msg) in enumerate(broken, 1):
        camera.publish(msg)
        robot.wait_for(lambda number=number: sum(robot.counts().drops.values()) == number)
    expected: dict[str, int] = {}
    for kind, _ in broken:
        expected[f'unreadable: {kind}'] = expected.get(f'unreadable: {kind}', 0) + 1
    assert robot.counts().drops == expected
    assert poses == []
    answered(robot, camera, poses, make_image(2))


@pytest.mark.parametrize('size', [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_odd_sizes_are_answered(
    make_robot: Maker, make_image: Maker, size: tuple[int, int]
) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    answered(robot, robot.camera(), poses, make_image(1, size=size))
    assert (poses[0].image_width, poses[0].image_height) == size


def test_corrupt_compressed_images_are_survived(make_robot: Maker) -> None:
    robot = make_robot(image_transport='compressed').activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera('/image/compressed', CompressedImage)
    good = compressed(5)
    for number, data in enumerate((b'', b'\x00' * 50, bytes(good.data)[:200]), 1):
        msg = compressed(number)
        msg.data = array('B', data)
        camera.publish(msg)
        robot.wait_for(lambda number=number: sum(robot.counts().drops.values()) == number)
    assert robot.counts().drops == {'unreadable: corrupt': 3}
    camera.publish(good)
    robot.wait_for(lambda: poses)
