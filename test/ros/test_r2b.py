"""The benchmark for ros2_benchmark fits the node; ros2_benchmark itself is not at hand."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

import yaml

from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import PersonPoseArray
from pavenet_ros.parameters import ROWS

ROOT = Path(__file__).parents[2]
R2B = ROOT / 'benchmarks' / 'r2b'
SECOND_NS = 1_000_000_000


def node_parameters() -> dict[str, Any]:
    return yaml.safe_load((R2B / 'pose_node.yaml').read_text())['/**']['ros__parameters']


def texts(path: Path) -> set[Any]:
    """Return every constant of a Python file."""
    tree = ast.parse(path.read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_the_script_names_what_there_is() -> None:
    script = texts(R2B / 'pose_node.py')
    assert 'pavenet_ros/msg/PersonPoseArray' in script
    arguments = {'namespace', 'image', 'poses', 'device', 'params_file'}
    assert arguments <= script & texts(ROOT / 'launch' / 'pose.launch.py')
    assert {path.name for path in R2B.glob('*.yaml')} <= script


def test_latencies_are_of_the_images_that_were_answered() -> None:
    settings = yaml.safe_load((R2B / 'benchmark.yaml').read_text())['ros2_benchmark_config']
    (watched,) = settings['monitor_info_list']
    (calculator,) = watched['calculators']
    assert calculator['config']['message_key_match']
    assert settings['revise_timestamps_as_message_ids']
    # Where such a stamp is read from: bytes 4 to 7 of the message.
    assert next(iter(PersonPoseArray.get_fields_and_field_types().items())) == (
        *('header', 'std_msgs/Header'),
    )


def test_stamps_that_count_seconds_are_one_video(
    make_robot: Callable[..., Any], make_image: Callable[..., Any]
) -> None:
    parameters = node_parameters()
    assert set(parameters) <= set(ROWS)
    robot = make_robot(**parameters).activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    # Seconds are numbers, nanoseconds those of the recording.
    stamps = [number * SECOND_NS + (number * 733_000_000) % SECOND_NS for number in range(1, 6)]
    for count, stamp in enumerate(stamps):
        camera.publish(make_image(stamp))
        robot.wait_for(lambda wanted=count + 1: len(poses) == wanted)
    assert [stamp_ns(answer.header) for answer in poses] == stamps
    assert robot.counts().new_videos == {}
