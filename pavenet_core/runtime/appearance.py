"""What people look like: the colours in the middles of their limbs."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses

SIDE = 170  # about so many pixels of the longer side are kept; a limb's colour is that of nine
LIGHTNESS = 0.5  # what it counts beside the hue, for it changes from sun to shade
FAR = 40.0  # two limbs differ by this at most: one that is hidden behind a coat says no more
UNSEEN = 7.0  # the difference of limbs that nobody saw, and of one more limb beside those seen

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Limbs = Sequence[tuple[int, int]]
NEIGHBOURHOOD = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])


@dataclass(frozen=True)
class Looks:
    """
    What N people look like.

    colours  (N, L, 3) in CIELAB (0 to 100, about -100 to 100), the lightness by half, of L limbs
    weights  (N, L) in [0, 1], how surely each limb was seen; 0 outside the picture
    """

    colours: Floats
    weights: Floats

    def take(self, people: Sequence[int] | NDArray[np.intp]) -> 'Looks':
        """Keep the people at these indices (P,), in that order."""
        chosen = np.asarray(people, np.intp)
        return Looks(self.colours[chosen], self.weights[chosen])

    def differences(self, other: 'Looks') -> Floats:
        """
        Return (N,) how much each person differs from the other's of the same index.

        It is the mean distance of the colours of limbs that both show; 2 can hardly be told
        apart, the clothes of two people mostly differ by 8 to 20.
        """
        apart = np.minimum(np.linalg.norm(self.colours - other.colours, axis=-1), FAR)
        both = self.weights * other.weights
        return np.asarray(((both * apart).sum(-1) + UNSEEN) / (both.sum(-1) + 1))

    def mixed_with(self, newer: 'Looks', share: float) -> 'Looks':
        """Return the looks with a share of newer ones, limbs counted as surely as seen."""
        old, new = (1 - share) * self.weights, share * newer.weights
        weights = old + new
        colours = old[..., None] * self.colours + new[..., None] * newer.colours
        colours /= np.maximum(weights, 1e-6)[..., None]
        return Looks(colours, weights)


def thin_out(picture: Image) -> Image:
    """Return a copy of a part of a picture's pixels, evenly spread: what `looks_of` needs."""
    step = max(1, round(max(picture.shape[:2]) / SIDE))
    return picture[::step, ::step].copy()


def looks_of(picture: Image, poses: Poses, size: tuple[int, int], limbs: Limbs) -> Looks:
    """
    Return what people look like.

    picture  (h, w, 3) BGR, thinned out, of the frame they were seen in
    size     width and height of the frame that the keypoints are in
    limbs    L pairs of keypoints
    """
    ends = np.array(limbs, np.intp).reshape(-1, 2)
    height, width = picture.shape[:2]
    shares = poses.extents[:, ends].mean(2) / np.array(size, np.float32)
    inside = ((shares >= 0) & (shares < 1)).all(-1)
    # What is not inside, and not a number, counts for nothing; but it must have a place.
    places = np.where(inside[..., None], shares, 0) * [width, height]
    around = places[:, :, None].astype(int) + NEIGHBOURHOOD
    columns, rows = around[..., 0].clip(0, width - 1), around[..., 1].clip(0, height - 1)
    colours = picture[rows, columns].mean(2, dtype=np.float32)
    seen = poses.keypoint_scores[:, ends].min(2)
    return Looks(_cielab(colours), np.where(inside & (seen > 0), seen, 0).astype(np.float32))


def _cielab(colours: Floats) -> Floats:
    """Return BGR colours, (N, L, 3) from 0 to 255, in CIELAB, the lightness by its part."""
    if not colours.size:
        return colours
    converted = cv2.cvtColor(colours / 255, cv2.COLOR_BGR2Lab)
    return np.asarray(converted * np.array([LIGHTNESS, 1, 1], np.float32))
