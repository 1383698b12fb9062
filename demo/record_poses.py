"""
Receive `image` and `poses`, draw one on the other, write a video and a JSON file.

Each frame that is written is confirmed by its header on `recorded`. Stops at SIGINT; then the
files are finished and the figures printed.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pavenet_core.drawing import draw_poses
from pavenet_core.skeleton import Skeleton
from pavenet_ros.conversions import (
    from_pose_array,
    from_skeleton_info,
    stamp_ns,
    to_frame,
)
from pavenet_ros.msg import PersonPose, PersonPoseArray, SkeletonInfo

TEST_PICTURE = 'test_picture'  # frame_id of what play_video.py sends before the video
MAX_WAITING = 30  # images without an answer; older ones were skipped by the node


class Recorder(Node):
    """Match every answer with its image by the stamp."""

    def __init__(self, video: Path, fps: float) -> None:
        super().__init__('recorder')
        self._video, self._fps = video, fps
        self._writer: Generator[None, bytes, None] | None = None
        self._skeleton: Skeleton | None = None
        self._images: dict[int, Image] = {}
        self._answers: dict[int, PersonPoseArray] = {}
        self._recorded = self.create_publisher(Header, 'recorded', QoSProfile(depth=10))
        self.model, self.frames = '', list[dict[str, Any]]()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(SkeletonInfo, 'pose_node/skeleton', self._on_skeleton, latched)
        self.create_subscription(PersonPoseArray, 'poses', self._on_poses, QoSProfile(depth=10))
        self.create_subscription(Image, 'image', self._on_image, QoSProfile(depth=10))

    def close(self) -> None:
        """Finish the video."""
        if self._writer is not None:
            self._writer.close()

    @property
    def skeleton_name(self) -> str:
        """Return the name of the skeleton that the keypoints follow."""
        return self._skeleton.name if self._skeleton else ''

    def _on_skeleton(self, msg: SkeletonInfo) -> None:
        self._skeleton = from_skeleton_info(msg)

    def _on_image(self, msg: Image) -> None:
        self._images[stamp_ns(msg.header)] = msg
        if len(self._images) > MAX_WAITING:
            del self._images[next(iter(self._images))]
        self._record(stamp_ns(msg.header))

    def _on_poses(self, msg: PersonPoseArray) -> None:
        self._answers[stamp_ns(msg.header)] = msg
        self._record(stamp_ns(msg.header))

    def _record(self, stamp: int) -> None:
        """Record a frame once its image and its answer are there, whichever comes first."""
        if stamp not in self._images or stamp not in self._answers or self._skeleton is None:
            return
        image, answer = self._images.pop(stamp), self._answers.pop(stamp)
        if image.header.frame_id != TEST_PICTURE:
            self._write_frame(image, answer)
        self._recorded.publish(image.header)

    def _write_frame(self, image: Image, answer: PersonPoseArray) -> None:
        stamp = stamp_ns(image.header)
        self.model = answer.model
        people = [_to_json(person) for person in answer.poses]
        self.frames.append({'stamp_ns': stamp, 'frame': len(self.frames), 'poses': people})
        self._write(draw_poses(to_frame(image).image, from_pose_array(answer), self._skeleton))

    def _write(self, image: NDArray[np.uint8]) -> None:
        if self._writer is None:
            self._writer = imageio_ffmpeg.write_frames(
                str(self._video),
                (image.shape[1], image.shape[0]),
                pix_fmt_in='bgr24',
                fps=self._fps,
                macro_block_size=2,
                output_params=['-preset', 'veryfast', '-crf', '23', '-movflags', '+faststart'],
            )
            self._writer.send(None)  # type: ignore[arg-type]
        self._writer.send(np.ascontiguousarray(image).tobytes())


def _to_json(person: PersonPose) -> dict[str, Any]:
    bbox = person.bbox
    return {
        'id': person.id,
        'score': round(person.score, 4),
        'bbox': [round(side, 2) for side in (bbox.x, bbox.y, bbox.width, bbox.height)],
        'keypoints': [[round(k.x, 2), round(k.y, 2), round(k.score, 4)] for k in person.keypoints],
    }


def _finish(recorder: Recorder, out: Path) -> None:
    if not recorder.frames:
        sys.exit('[recorder] no answer on /poses was received')
    data = {'model': recorder.model, 'skeleton': recorder.skeleton_name, 'frames': recorder.frames}
    out.write_text(json.dumps(data) + '\n', encoding='utf-8')
    counts = [len(frame['poses']) for frame in recorder.frames]
    print(f'frames answered:        {len(counts)}')
    print(
        f'people per frame:       {statistics.mean(counts):.1f} on average, {max(counts)} at most'
    )


def main() -> None:
    """Record until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--video', type=Path, required=True)
    parser.add_argument('--json', type=Path, required=True)
    parser.add_argument('--fps', type=float, required=True)
    args = parser.parse_args()
    rclpy.init()
    recorder = Recorder(args.video, args.fps)
    try:
        rclpy.spin(recorder)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    recorder.close()
    _finish(recorder, args.json)


main()
