"""From the frames of a window, as stored, to one training example."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Image, Labels, Neighbours
from pavenet_core.skeleton import Skeleton
from pavenet_core.train.degradation import blurred, cut_out, exposed, motion_blurred, noisy
from pavenet_core.train.photometric import Distortion
from pavenet_core.train.sample import Sample
from pavenet_core.train.warp import (
    Color,
    Matrix,
    boxes_shown,
    corners,
    move_people,
    scale,
    shift,
    turn,
    warp,
)
from pavenet_core.train.window import as_video

MEAN_COLOR = (103.53, 116.28, 123.675)  # of ImageNet, blue, green, red


class View(NamedTuple):
    """
    How a picture is shown: where its pixels go.

    size    height, width of the result
    border  colour of what was outside; None where nothing is
    """

    matrix: Matrix
    size: tuple[int, int]
    mirrored: bool
    cropped: bool
    border: Color | None

    def scaled(self, short_side: float, long_side: float) -> 'View':
        """Return it resized in proportion, to one of two lengths."""
        height, width = self.size
        zoom = min(short_side / min(self.size), long_side / max(self.size))
        new = max(1, int(height * zoom + 0.5)), max(1, int(width * zoom + 0.5))
        matrix = scale(new[1] / width, new[0] / height) @ self.matrix
        return self._replace(matrix=matrix, size=new)

    def cut(self, size: tuple[int, int], rng: np.random.Generator) -> 'View':
        """Return a part of a size, anywhere."""
        top, left = rng.integers(0, np.subtract(self.size, size) + 1).tolist()
        return self._replace(matrix=shift(-left, -top) @ self.matrix, size=size, cropped=True)


@dataclass(frozen=True)
class Augmentation:
    """
    What training does to a window; `share` is a probability, a pair the ends of a range.

    All frames of a window change alike, but for what makes a video of a still and what hides
    things in the key frame.

    distortion_share       of each of brightness, contrast, saturation and hue
    channel_share          of another order of blue, green and red
    brightness             added at most, of 255
    hue                    degrees turned at most
    rotation               degrees at most, about the centre
    short_side, long_side  the picture is scaled to a random short side unless the long side would
                           pass its limit; pixels
    crop_share             of windows scaled to one of `crop_short_sides` and cut to a height and a
                           width of `crop_side` before that
    still_turn             whole degrees that a still turns from frame to frame, to be a video

    What makes the network look at the neighbours (docs/augmentation.md):

    blur_share      of key frames smeared by up to `blur_px` pixels, in half of them evenly
    cut_out_share   of people of whom a square of `cut_out_size` of their length is hidden in the
                    key frame
    noise_share     of key frames with noise of a deviation up to `noise`, of 255
    exposure_share  of key frames brightened or darkened by a factor of `exposure`
    skip_share      of windows whose frames lie up to `max_skip` times further apart
    no_future_share  of windows whose later frames are the key frame, as without lookahead
    """

    # as the authors
    distortion_share: float = 0.5
    channel_share: float = 0.5
    brightness: float = 32
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 18
    rotation: float = 30
    flip_share: float = 0.5
    short_side: tuple[int, int] = (480, 800)
    long_side: int = 1333
    crop_share: float = 0.5
    crop_short_sides: tuple[int, ...] = (400, 500, 600)
    crop_side: tuple[int, int] = (384, 600)
    still_turn: tuple[int, int] = (0, 5)
    # for the use of neighbours
    blur_share: float = 0
    blur_px: tuple[float, float] = (4, 20)
    cut_out_share: float = 0
    cut_out_size: tuple[float, float] = (0.15, 0.8)
    noise_share: float = 0
    noise: float = 20
    exposure_share: float = 0
    exposure: tuple[float, float] = (0.4, 1.8)
    skip_share: float = 0
    max_skip: int = 3
    no_future_share: float = 0

    def __post_init__(self) -> None:
        """Refuse impossible values, naming them."""
        for name, value in asdict(self).items():
            if name.endswith('_share') and not 0 <= value <= 1:
                raise ValueError(f'{name} is a probability from 0 to 1, got {value}')
            if isinstance(value, tuple) and list(value) != sorted(value):
                raise ValueError(f'{name} must rise, got {value}')

    def __call__(
        self,
        window: Sequence[Image],
        labels: Labels,
        skeleton: Skeleton,
        rng: np.random.Generator,
    ) -> Sample | None:
        """
        Return the example; None if nobody is left in it.

        A window that is T times the very same array is a still.

        window  T pictures (h, w, 3) uint8 of one size, blue-green-red
        labels  of its key frame, the middle one
        """
        degrees = self.draw_turn(rng)
        view = self.draw_view(window[0].shape[:2], rng)
        people = move_people(
            labels, view.matrix, view.size, skeleton.mirror if view.mirrored else None
        )
        if not len(people.persons) and not self._is_empty_crop(labels, view):
            return None
        frames = as_video(window, degrees)
        images = self._render(frames, view, self.draw_distortion(rng))
        key = len(frames) // 2
        images[[frame is frames[key] for frame in frames]] = self.degrade(
            images[key], people.persons, rng
        )
        return Sample(images, *people)

    def neighbours(self, usual: Neighbours, rng: np.random.Generator) -> Neighbours:
        """Draw which frames a window has, given the usual ones."""
        drawn = usual
        if rng.random() < self.skip_share:
            factor = int(rng.integers(2, self.max_skip + 1))
            interval = None if usual.interval_ns is None else usual.interval_ns * factor
            drawn = replace(drawn, step=usual.step * factor, interval_ns=interval)
        if rng.random() < self.no_future_share:
            drawn = replace(drawn, lookahead=0)
        return drawn

    def draw_turn(self, rng: np.random.Generator) -> int:
        """Draw the degrees that a still turns from frame to frame."""
        return int(rng.integers(self.still_turn[0], self.still_turn[1] + 1))

    def draw_distortion(self, rng: np.random.Generator) -> Distortion:
        """Draw the change of colours."""
        return Distortion(
            rng,
            share=self.distortion_share,
            channel_share=self.channel_share,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
        )

    def draw_view(self, size: tuple[int, ...], rng: np.random.Generator) -> View:
        """Draw how a picture of a height and width is shown."""
        height, width = size
        degrees = rng.uniform(-self.rotation, self.rotation)
        border = MEAN_COLOR if self.rotation else None
        matrix = turn(degrees, (width / 2, height / 2))
        mirrored = bool(rng.random() < self.flip_share)
        if mirrored:
            matrix = shift(width, 0) @ scale(-1, 1) @ matrix
        view = View(matrix, (height, width), mirrored, False, border)
        if rng.random() < self.crop_share:
            view = view.scaled(rng.choice(self.crop_short_sides), np.inf)
            low, high = self.crop_side
            part = [int(rng.integers(min(low, side), min(high, side) + 1)) for side in view.size]
            view = view.cut((part[0], part[1]), rng)
        low, high = self.short_side
        return view.scaled(int(rng.integers(low, high + 1)), self.long_side)

    def _is_empty_crop(self, labels: Labels, view: View) -> bool:
        """Tell whether a crop shows no part of anybody: it teaches that nobody is there."""
        people = [corners(box) for box in labels.boxes]
        return view.cropped and not len(boxes_shown(people, view.matrix, view.size))

    def _render(
        self, frames: Sequence[Image], view: View, distortion: Distortion
    ) -> NDArray[np.uint8]:
        """Draw the frames, those that are one array once."""
        images = np.empty((len(frames), *view.size, 3), np.uint8)
        drawn: dict[int, int] = {}
        for index, frame in enumerate(frames):
            if id(frame) in drawn:
                images[index] = images[drawn[id(frame)]]
            else:
                images[index] = warp(distortion(frame), view.matrix, view.size, view.border)
                drawn[id(frame)] = index
        return images

    def degrade(
        self, image: Image, persons: NDArray[np.float32], rng: np.random.Generator
    ) -> Image:
        """
        Spoil the key frame, so that only the neighbours show what was there.

        image    (h, w, 3) uint8, blue-green-red
        persons  (G, K, 3)
        """
        for person in persons:
            if rng.random() < self.cut_out_share:
                image = cut_out(image, person, rng.uniform(*self.cut_out_size), rng)
        if rng.random() < self.blur_share:
            length = rng.uniform(*self.blur_px)
            along = rng.random() < 0.5
            degrees = rng.uniform(0, 180)
            image = motion_blurred(image, length, degrees) if along else blurred(image, length / 4)
        if rng.random() < self.exposure_share:
            image = exposed(image, rng.uniform(*self.exposure))
        if rng.random() < self.noise_share:
            image = noisy(image, rng.uniform(0, self.noise), rng)
        return image

    def with_frames(self, num_frames: int) -> 'Augmentation':
        """Return it for windows of so many frames: with five, stills turn by two degrees each."""
        return replace(self, still_turn=(2, 2)) if num_frames == 5 else self

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> 'Augmentation':
        """Read what `to_json` wrote."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        return cls(**values)


PAPER = Augmentation()

# The released configuration of three frames on PoseTrack 2017.
OFFICIAL = replace(PAPER, short_side=(400, 1200), long_side=1200)
# Three frames on PoseTrack 2018 and on COCO.
OFFICIAL_LARGE = replace(PAPER, short_side=(400, 1400), long_side=1400)
# Five frames.
OFFICIAL_T5 = replace(PAPER, short_side=(400, 1000), long_side=1000, still_turn=(2, 2))

FINETUNE = replace(
    PAPER,
    blur_share=0.25,
    cut_out_share=0.15,
    noise_share=0.15,
    exposure_share=0.15,
    skip_share=0.3,
    no_future_share=0.15,
)

# Pictures as the network gets them when nothing is to be learned.
TEST = replace(
    PAPER,
    distortion_share=0,
    channel_share=0,
    rotation=0,
    flip_share=0,
    short_side=(800, 800),
    crop_share=0,
    still_turn=(0, 0),
)

AUGMENTATIONS = {
    'paper': PAPER,
    'official': OFFICIAL,
    'official_large': OFFICIAL_LARGE,
    'official_t5': OFFICIAL_T5,
    'finetune': FINETUNE,
    'test': TEST,
}
