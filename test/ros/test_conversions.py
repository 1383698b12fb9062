"""Messages and values become each other without loss."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pavenet_core.image_codec import ImageCodecError
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17
from pavenet_ros.conversions import (
    from_pose_array,
    from_skeleton_info,
    stamp_ns,
    to_frame,
    to_pose_array,
    to_skeleton_info,
)


def header(sec: int = 12, nanosec: int = 34) -> Header:
    result = Header(frame_id='camera_optical')
    result.stamp.sec, result.stamp.nanosec = sec, nanosec
    return result


def two_people() -> Poses:
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 700, (2, len(COCO17), 2)).astype(np.float32)
    scores = rng.uniform(0, 1, (2, len(COCO17))).astype(np.float32)
    people = np.array([0.9, 0.4], np.float32)
    return Poses(12_000_000_034, points, scores, people, ids=np.array([7, 0]))


def test_stamp_has_nanoseconds() -> None:
    assert stamp_ns(header()) == 12_000_000_034


def test_image_becomes_a_frame() -> None:
    msg = Image(header=header(), height=2, width=1, encoding='rgb8', step=4)
    msg.data.frombytes(bytes([1, 2, 3, 0, 4, 5, 6, 0]))
    frame = to_frame(msg)
    assert frame.stamp_ns == 12_000_000_034
    assert frame.image.tolist() == [[[3, 2, 1]], [[6, 5, 4]]]


def test_rare_encoding_without_cv_bridge_is_one_sentence() -> None:
    msg = Image(height=1, width=1, encoding='64FC3', step=24)
    msg.data.frombytes(bytes(24))
    with pytest.raises(ImageCodecError, match='64FC3') as caught:
        to_frame(msg)
    assert '\n' not in str(caught.value)


def fake_cv_bridge(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], object]) -> None:
    class CvBridge:
        def imgmsg_to_cv2(self, msg: Image, encoding: str) -> object:
            assert encoding == 'bgr8'
            return answer()

    module = SimpleNamespace(CvBridge=CvBridge, CvBridgeError=TypeError)
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)


def test_rare_encoding_goes_through_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.full((2, 3, 3), 7, np.uint8)
    fake_cv_bridge(monkeypatch, lambda: picture)
    msg = Image(height=2, width=3, encoding='mono16', step=6)
    np.testing.assert_array_equal(to_frame(msg).image, picture)


@pytest.mark.parametrize('error', [ValueError, TypeError, KeyError, AttributeError])
def test_what_cv_bridge_cannot_read_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail() -> None:
        raise error('no')

    fake_cv_bridge(monkeypatch, fail)
    with pytest.raises(ImageCodecError, match="cannot read 'mono16'"):
        to_frame(Image(height=2, width=3, encoding='mono16', step=6))


def test_people_come_back() -> None:
    poses = two_people()
    msg = to_pose_array(poses, header=header(), size=(640, 480), model='m', skeleton='coco17')
    assert msg.header == header()
    assert (msg.image_width, msg.image_height) == (640, 480)
    assert (msg.model, msg.skeleton) == ('m', 'coco17')
    assert [person.id for person in msg.poses] == ['7', '']
    box = msg.poses[1].bbox
    np.testing.assert_allclose([box.x, box.y, box.width, box.height], poses.bboxes_px[1])
    back = from_pose_array(msg)
    assert back.stamp_ns == poses.stamp_ns
    np.testing.assert_array_equal(back.keypoints_px, poses.keypoints_px)
    np.testing.assert_array_equal(back.keypoint_scores, poses.keypoint_scores)
    np.testing.assert_array_equal(back.scores, poses.scores)
    assert back.ids is not None
    assert back.ids.tolist() == [7, 0]
    msg.poses[0].id = 'somebody'  # another node's way to name people
    assert from_pose_array(msg).id_names == ['', '']


def test_nobody_is_an_empty_message() -> None:
    msg = to_pose_array(
        two_people().above(1.1), header=header(), size=(640, 480), model='m', skeleton='coco17'
    )
    assert msg.poses == []
    assert msg.header == header()
    assert len(from_pose_array(msg)) == 0


def test_skeleton_comes_back() -> None:
    back = from_skeleton_info(to_skeleton_info(COCO17))
    assert (back.name, back.names) == (COCO17.name, COCO17.names)
    assert (back.edges, back.flip_pairs) == (COCO17.edges, COCO17.flip_pairs)
    np.testing.assert_allclose(back.sigmas, COCO17.sigmas)
