"""The topic of a camera after remapping, as subscribed to and as told."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import CompressedImage

from pavenet_ros.msg import PersonPoseArray

Maker = Callable[..., Any]


def test_rules_that_swap_two_cameras_are_followed_once(
    make_robot: Maker, make_image: Maker
) -> None:
    rules = '-r', 'left/image:=/right/image', '-r', 'right/image:=/left/image'
    robot = make_robot(*rules, cameras=['left', 'right']).activate()
    poses = robot.listen(PersonPoseArray, '/left/poses')
    robot.camera('/right/image').publish(make_image(1))
    robot.wait_for(lambda: poses)
    left, right = (camera.subscription for camera in robot.node._cameras)
    assert (left.topic, right.topic) == ('/right/image', '/left/image')
    assert '/world publishes sensor_msgs/msg/Image reliable' in left.describe_publishers()
    assert 'nobody publishes' in right.describe_publishers()


def test_a_compressed_topic_with_a_rule_of_its_own_is_told_by_its_name(make_robot: Maker) -> None:
    rules = '-r', 'image/compressed:=/cam/jpeg'
    robot = make_robot(*rules, image_transport='compressed').activate()
    robot.camera('/cam/jpeg', CompressedImage)
    assert robot.node._cameras[0].subscription.topic == '/cam/jpeg'
