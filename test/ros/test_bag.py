"""Bags made without ROS hold what real ROS 2 reads and writes."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('rosbags', reason='needs rosbags')

from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from pavenet_core.bag.messages import POSES, message_types
from pavenet_core.cli import main
from pavenet_core.runtime import VideoPoseEstimator, stream_poses
from pavenet_ros.conversions import to_frame, to_pose_array
from pavenet_ros.msg import PersonPoseArray

SECOND_NS = 1_000_000_000
BRIGHTNESS = (100, 0, 180, 60)  # the stand-in sees nobody on black
TOPIC = '/camera/image_raw'


def stamp_of(index: int) -> int:
    return 1_700_000_000 * SECOND_NS + 123_456_789 + index * 40_000_000


def compressed(msg: Image) -> CompressedImage:
    """Return the picture as a JPEG, as image_transport would send it."""
    import cv2
    import numpy as np

    pixels = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3)
    data = cv2.imencode('.jpg', pixels)[1].tobytes()
    return CompressedImage(header=msg.header, format='bgr8; jpeg compressed bgr8', data=data)


def record(path: Path, messages: list[Any], plugin: StoragePlugin) -> Path:
    """Write what rclpy serialises, as `ros2 bag record` does."""
    kind = f'sensor_msgs/msg/{type(messages[0]).__name__}'
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        connection = writer.add_connection(TOPIC, kind, typestore=message_types())
        for index, message in enumerate(messages):
            writer.write(connection, stamp_of(index) + 1_000_000, serialize_message(message))
    return path


def expected(stand_in: Path, images: list[Any]) -> list[PersonPoseArray]:
    """Return what the node would publish."""
    estimator = VideoPoseEstimator(stand_in, max_people=20)
    answers = stream_poses(estimator, [to_frame(image) for image in images])
    return [
        to_pose_array(
            poses, header=image.header, size=(60, 40), model='stand-in', skeleton='coco17'
        )
        for image, (_, poses) in zip(images, answers, strict=True)
    ]


@pytest.mark.parametrize('plugin', [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_poses_bag_holds_what_the_node_would_publish(
    stand_in: Path, make_image: Any, tmp_path: Path, plugin: StoragePlugin, transport: str
) -> None:
    images = [make_image(stamp_of(i), b, frame_id='camera') for i, b in enumerate(BRIGHTNESS)]
    if transport == 'compressed':
        images = [compressed(image) for image in images]
    bag, out = record(tmp_path / 'in', images, plugin), tmp_path / 'out'
    words = ['predict', bag, '--model', stand_in, '--out', tmp_path / 'a.json', '--bag', out]
    assert main(list(map(str, words))) == 0
    with Reader(out) as reader:
        rows = [(connection, time, data) for connection, time, data in reader.messages()]
    messages = [deserialize_message(data, PersonPoseArray) for _, _, data in rows]
    assert messages == expected(stand_in, images)
    assert [len(message.poses) for message in messages] == [3, 0, 3, 3]
    assert [message.header for message in messages] == [image.header for image in images]
    assert messages[0].header.frame_id == 'camera'
    assert [time for _, time, _ in rows] == [stamp_of(i) + 1_000_000 for i in range(4)]
    # Nothing is left unread: what ROS writes of it is as long (it does not clear its padding).
    lengths = [len(serialize_message(message)) for message in messages]
    assert lengths == [len(data) for _, _, data in rows]
    frames = json.loads((tmp_path / 'a.json').read_text())['frames']
    assert [frame['stamp_ns'] for frame in frames] == [stamp_of(i) for i in range(4)]


def test_the_type_in_the_bag_is_the_one_that_was_built() -> None:
    built = Path(get_package_share_directory('pavenet_ros')) / 'msg' / 'PersonPoseArray.json'
    if not built.exists():
        pytest.skip('this ROS 2 has no type hashes')
    hashes = {row['type_name']: row['hash_string'] for row in _hashes(built)}
    assert message_types().hash_rihs01(POSES) == hashes[POSES]


def _hashes(built: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(built.read_text())['type_hashes']
    return rows


def test_a_header_is_the_same_message_on_both_sides() -> None:
    header = Header(frame_id='left')
    header.stamp.sec, header.stamp.nanosec = -1, 999_999_999
    read = message_types().deserialize_cdr(serialize_message(header), 'std_msgs/msg/Header')
    assert (read.stamp.sec, read.stamp.nanosec, read.frame_id) == (-1, 999_999_999, 'left')
