"""An image of a bag, with what the bag says of it."""

from dataclasses import dataclass

from pavenet_core.poses import Frame


@dataclass(frozen=True)
class ImageHeader:
    """
    What a bag says of an image.

    index        its place among the messages of its topic, from 0
    stamp_ns     capture time, as the camera's driver put it; 0 where it did not
    recorded_ns  when it was written into the bag
    frame_id     the camera's coordinate frame
    """

    index: int
    stamp_ns: int
    recorded_ns: int
    frame_id: str


@dataclass(frozen=True)
class BagFrame(Frame):
    """
    An image of a bag.

    stamp_ns  the header's, or the time of recording where that is 0; one more than the frame
              before where it is the same, since the estimator drops repeats
    """

    header: ImageHeader


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be decoded, and why, in one sentence."""

    header: ImageHeader
    reason: str


def camera_of(frame: Frame) -> str:
    """Return the coordinate frame of a bag's image; where it changes, a new video starts."""
    return frame.header.frame_id if isinstance(frame, BagFrame) else ''
