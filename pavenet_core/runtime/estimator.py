"""The pipeline: frames of a video in, people out."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bundle import BundleMetadata
from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime.appearance import looks_of, thin_out
from pavenet_core.runtime.blocks import Features
from pavenet_core.runtime.feature_buffer import FeatureBuffer, Window
from pavenet_core.runtime.identities import Identities
from pavenet_core.runtime.pose_model import PoseModel


@dataclass(frozen=True)
class _Encoded:
    size: tuple[int, int]  # width and height of the source picture
    features: Features
    picture: NDArray[np.uint8]  # a part of its pixels, for what people look like


class VideoPoseEstimator:
    """
    Find the people of every frame of a video, seeing each with its neighbouring frames.

        frame -> fit -> spatial encoder -> buffer -> pose decoder -> select -> joint decoder
                        (once per frame)   (T frames of one run)    (by score)    -> identities

    model             an opened model, which several videos may share, one after the other; or its
                      name or path, opened with device, num_threads and spinning
    score_threshold   people below it are not reported; in [0, 1]; may be set between frames
    max_people        at most so many people per frame, the best ones; None takes the model's own
                      limit; may be set between frames
    lookahead         frames to wait for before a frame is answered, 0 to T // 2
    frame_interval_s  time between a window's frames; None takes the frames as they follow
    max_gap_s         a longer pause starts a new video
    identities        give people ids that follow them; the attribute, which holds who is known or
                      is None, may be set between frames
    device, num_threads, spinning  see `PoseModel`
    """

    def __init__(
        self,
        model: str | Path | PoseModel = 'compact',
        *,
        score_threshold: float = 0.3,
        max_people: int | None = None,
        lookahead: int = 0,
        frame_interval_s: float | None = None,
        max_gap_s: float = 1.0,
        identities: bool = True,
        device: str = 'cpu',
        num_threads: int = 0,
        spinning: bool = True,
    ) -> None:
        if not isinstance(model, PoseModel):
            model = PoseModel(model, device=device, num_threads=num_threads, spinning=spinning)
        elif (device, num_threads, spinning) != ('cpu', 0, True):
            raise ValueError(
                'the model is open already; give device, num_threads and spinning to its PoseModel'
            )
        self.metadata: BundleMetadata = model.metadata
        if max_people is None:
            max_people = self.metadata.postprocess.max_people
        _check_people(score_threshold, max_people)
        _check_times(self.metadata.num_frames // 2, lookahead, frame_interval_s, max_gap_s)
        self.score_threshold = score_threshold
        self.max_people = max_people
        self.identities = Identities() if identities else None
        self.encodes = 0
        self._model = model
        self._buffer: FeatureBuffer[_Encoded] = FeatureBuffer(
            self.metadata.num_frames,
            lookahead=lookahead,
            interval_ns=None if frame_interval_s is None else round(frame_interval_s * 1e9),
            max_gap_ns=round(max_gap_s * 1e9),
            older=self.metadata.pyramid,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        """Return the onnxruntime providers really in use."""
        return self._model.providers

    def push(self, frame: Frame) -> Poses | None:
        """
        Take the next frame and return the oldest answer not yet given, or None.

        With lookahead 0 that is always this frame's. A frame with the stamp of the one before it
        is dropped: no frame is answered twice. Raise `ValueError` for limits set to nonsense.
        """
        _check_people(self.score_threshold, self.max_people)
        if not self._buffer.is_repeat(frame.stamp_ns):
            encoded = self._encode(frame.image)
            self._buffer.push(frame.stamp_ns, encoded.size, encoded)
        window = self._buffer.next_window()
        return None if window is None else self._decode(window)

    def flush(self) -> list[Poses]:
        """End the video, so that another may begin: return the answers not yet given, in order."""
        self._buffer.end_run()
        answers = []
        while (window := self._buffer.next_window()) is not None:
            answers.append(self._decode(window))
        self._buffer.reset()
        return answers

    def reset(self) -> None:
        """Forget the video, and the answers not yet given with it."""
        self._buffer.reset()

    def _encode(self, image: NDArray[np.uint8]) -> _Encoded:
        fitted = self._model.fit(image)
        features = self._model.spatial_encoder(fitted)
        self.encodes += 1
        size = image.shape[1], image.shape[0]
        return _Encoded(size, features, thin_out(fitted.picture))

    def _decode(self, window: Window[_Encoded]) -> Poses:
        poses = self._model.decode(
            [encoded.features for encoded in window.values],
            stamp_ns=window.stamp_ns,
            size=window.key.size,
            score_threshold=self.score_threshold,
            max_people=self.max_people,
        )
        if self.identities is None:
            return poses
        if window.starts_run:
            self.identities.forget()
        key = window.key
        looks = looks_of(key.picture, poses, key.size, self.metadata.skeleton.edges)
        return self.identities.name(poses, window.stamps_ns, looks)


def _check_people(score_threshold: float, max_people: int) -> None:
    if not 0 <= score_threshold <= 1:
        raise ValueError(f'score_threshold must be in [0, 1], got {score_threshold}')
    if not isinstance(max_people, int) or max_people < 1:
        raise ValueError(f'max_people must be an integer of 1 or more, got {max_people!r}')


def _check_times(
    half: int, lookahead: int, frame_interval_s: float | None, max_gap_s: float
) -> None:
    if lookahead not in range(half + 1):
        raise ValueError(f'lookahead must be 0 to {half} with this model, got {lookahead}')
    if not 0 < max_gap_s < math.inf:
        raise ValueError(f'max_gap_s must be above 0 and finite, got {max_gap_s}')
    if frame_interval_s is not None and not 0 < frame_interval_s <= max_gap_s:
        raise ValueError(
            f'frame_interval_s must be above 0 and at most max_gap_s ({max_gap_s}), '
            f'got {frame_interval_s}'
        )
