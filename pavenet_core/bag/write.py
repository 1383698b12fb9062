"""People into a bag, as the node would have published them."""

from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from pavenet_core.bag.frame import BagFrame, ImageHeader
from pavenet_core.bag.messages import POSES, message_types
from pavenet_core.poses import Poses

TOPIC = '/poses'
VERSION: Final = 8  # the newest of the formats that ROS 2 Humble reads


class PosesBag:
    """
    A new bag of `pavenet_ros/PersonPoseArray` messages; use it with `with`.

    Each has the header of its image, and the time at which that was recorded.
    """

    def __init__(self, path: Path, *, mcap: bool, model: str, skeleton: str) -> None:
        plugin = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
        self._writer = Writer(path, version=VERSION, storage_plugin=plugin)
        self._connection: Connection | None = None
        self._model, self._skeleton = model, skeleton

    def __enter__(self) -> 'PosesBag':
        """Make the bag."""
        self._writer.open()
        self._connection = self._writer.add_connection(TOPIC, POSES, typestore=message_types())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag, also one that was broken off."""
        self._writer.close()

    def write(self, frame: BagFrame, poses: Poses) -> None:
        """Add the people of one image."""
        assert self._connection is not None
        types = message_types()
        height, width = frame.image.shape[:2]
        message = types.types[POSES](
            header=_header(frame.header),
            image_width=width,
            image_height=height,
            model=self._model,
            skeleton=self._skeleton,
            poses=_people(poses),
        )
        data = types.serialize_cdr(message, POSES)
        self._writer.write(self._connection, frame.header.recorded_ns, data)


def _header(header: ImageHeader) -> Any:
    types = message_types().types
    sec, nanosec = divmod(header.stamp_ns, 1_000_000_000)
    stamp = types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=header.frame_id)


def _people(poses: Poses) -> list[Any]:
    types = message_types().types
    person_type, box_type, keypoint_type = (
        types[f'pavenet_ros/msg/{name}'] for name in ('PersonPose', 'BoundingBox', 'Keypoint')
    )
    people = zip(
        *(poses.id_names, poses.scores.tolist(), poses.bboxes_px.tolist()),
        *(poses.keypoints_px.tolist(), poses.keypoint_scores.tolist()),
        strict=True,
    )
    return [
        person_type(
            id=name,
            score=score,
            bbox=box_type(*box),
            keypoints=[
                keypoint_type(*point, point_score)
                for point, point_score in zip(points, point_scores, strict=True)
            ],
        )
        for name, score, box, points, point_scores in people
    ]
