"""The thread that turns the newest image of each camera into people."""

from collections.abc import Sequence
from threading import Thread

from pavenet_ros.newest_frame import NewestFrames
from pavenet_ros.pipeline import ImagePipeline, Received


class PoseWorker:
    """
    Take the newest image of the next camera and answer it; one at a time, until stopped.

    Answers that wait for more images (lookahead) are given without them when a camera falls
    silent, and at the end.
    """

    def __init__(self, pipelines: Sequence[ImagePipeline]) -> None:
        self._pipelines = pipelines
        self._newest: NewestFrames[Received] = NewestFrames(len(pipelines))
        self._thread = Thread(target=self._run, name='pose_worker', daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, camera: int, received: Received) -> bool:
        """Leave an image without waiting; say whether it replaced one that nobody had taken."""
        return self._newest.put(camera, received)

    def stop(self) -> None:
        """Finish the images at hand, answer those that wait for more, and end the thread."""
        self._newest.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._newest.is_done:
            turn = self._newest.take(self._seconds_until_due())
            if turn is not None:
                camera, received = turn
                self._pipelines[camera].process(received)
            for pipeline in self._pipelines:
                if pipeline.seconds_until_due() == 0:
                    pipeline.finish()
        for pipeline in self._pipelines:
            pipeline.finish()

    def _seconds_until_due(self) -> float | None:
        times = [pipeline.seconds_until_due() for pipeline in self._pipelines]
        return min((time for time in times if time is not None), default=None)
