"""The message types of a bag, without ROS: those of ROS 2 itself, and this package's own."""

from functools import cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
POSES = 'pavenet_ros/msg/PersonPoseArray'
# Copies of the repository's msg/, which pip does not install; a test keeps them equal.
DEFINITIONS = Path(__file__).parent / 'msg'


@cache
def message_types() -> Typestore:
    """Return the types; those of images are the same in every ROS 2."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    own = {}
    for file in sorted(DEFINITIONS.glob('*.msg')):
        name = f'pavenet_ros/msg/{file.stem}'
        own.update(get_types_from_msg(file.read_text(encoding='utf-8'), name))
    types.register(own)
    return types
