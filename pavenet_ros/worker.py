"""The thread that turns the newest image into people."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pavenet_core.poses import Poses
from pavenet_core.runtime import VideoPoseEstimator
from pavenet_ros.conversions import stamp_ns, to_frame, to_pose_array
from pavenet_ros.msg import PersonPoseArray
from pavenet_ros.newest_frame import NewestFrame


@dataclass(frozen=True)
class _Source:
    """What a result must repeat of the image that it answers."""

    header: Header
    size: tuple[int, int]


class PoseWorker:
    """
    Take the newest image, find the people, publish; one at a time, until stopped.

        put -> newest_frame -> to_frame -> estimator -> to_pose_array -> publish

    An answer may come later than its image (lookahead), so headers wait here by their stamp.
    An image that can't be read is reported by `warn` and skipped.
    """

    def __init__(
        self,
        estimator: VideoPoseEstimator,
        publish: Callable[[PersonPoseArray], None],
        warn: Callable[[str], None],
    ) -> None:
        self._estimator = estimator
        self._publish = publish
        self._warn = warn
        self._newest: NewestFrame[Image] = NewestFrame()
        self._waiting: dict[int, _Source] = {}  # by stamp, in the order of their answers
        self._frame_id: str | None = None
        self._handled = 0
        self._thread = Thread(target=self._run, name='pose_worker', daemon=True)

    @property
    def dropped(self) -> int:
        """Return how many images were replaced by newer ones before their turn."""
        return self._newest.dropped

    @property
    def handled(self) -> int:
        """Return how many images had their turn, also those that could not be read."""
        return self._handled

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, msg: Image) -> None:
        """Leave an image; never waits."""
        self._newest.put(msg)

    def stop(self) -> None:
        """Finish the image at hand, answer those that wait for more, and end the thread."""
        self._newest.close()
        self._thread.join()

    def _run(self) -> None:
        while (msg := self._newest.take()) is not None:
            try:
                self._process(msg)
            except ValueError as error:
                self._warn(f'skipped an image: {error}')
            self._handled += 1
        self._finish_video()

    def _process(self, msg: Image) -> None:
        frame = to_frame(msg)
        if msg.header.frame_id != self._frame_id:  # another camera is another video
            self._finish_video()
            self._frame_id = msg.header.frame_id
        self._waiting[stamp_ns(msg.header)] = _Source(msg.header, (msg.width, msg.height))
        poses = self._estimator.push(frame)
        if poses is not None:
            self._answer(poses)

    def _finish_video(self) -> None:
        for poses in self._estimator.flush():
            self._answer(poses)
        self._estimator.reset()
        self._waiting.clear()

    def _answer(self, poses: Poses) -> None:
        source = self._waiting[poses.stamp_ns]
        self._forget_until(poses.stamp_ns)
        metadata = self._estimator.metadata
        self._publish(
            to_pose_array(
                poses,
                header=source.header,
                size=source.size,
                model=metadata.name,
                skeleton=metadata.skeleton.name,
            )
        )

    def _forget_until(self, stamp: int) -> None:
        # Answers come in the order of their images; one that came before and has none was a
        # repeated stamp and gets none.
        for waiting in list(self._waiting):
            del self._waiting[waiting]
            if waiting == stamp:
                return
