"""Which frames each key frame is seen with, and when it can be answered."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar('Value')

# How far from the key frame others still help, where they are taken as they follow: a person who
# walks has gone too far then to be taken for the same (benchmarks/LOG.md).
NEXT_NS = 200_000_000  # the ones just before and after
FARTHER_NS = 100_000_000  # the others


@dataclass(frozen=True)
class Window(Generic[Value]):
    """
    One key frame and its neighbours.

    stamps_ns   of the T frames; the key frame's is the middle one
    values      theirs
    starts_run  the key frame is the first of its run
    """

    stamps_ns: tuple[int, ...]
    values: tuple[Value, ...]
    starts_run: bool

    @property
    def stamp_ns(self) -> int:
        """Return the key frame's stamp."""
        return self.stamps_ns[len(self.stamps_ns) // 2]

    @property
    def key(self) -> Value:
        """Return the key frame's value."""
        return self.values[len(self.values) // 2]


@dataclass(frozen=True)
class _Entry(Generic[Value]):
    stamp_ns: int
    value: Value


class FeatureBuffer(Generic[Value]):
    """
    Make the window of every frame, each frame being the key frame exactly once.

    Frames belong to one run while their stamps rise by at most `max_gap_ns` and their image size
    stays. A window never leaves its run: where a neighbour is missing, the nearest frame of the
    run stands in. A key frame waits for `lookahead` more frames, or for the end of its run, and
    looks no further than those.

    With `older`, where no frame after the key frame may be seen one from farther back stands in:
    frames t-1, t, t-2 instead of t-1, t, t.

    Without `interval_ns` the neighbours are the frames just before and after the key frame, which
    itself stands in for those farther away in time than `NEXT_NS` and `FARTHER_NS`; with it,
    those whose stamps are nearest to whole intervals away from it (the one closer to the key
    frame where two are as near).

        push ->  | in reach of the next key | next key | its lookahead |  -> next_window
    """

    def __init__(
        self,
        num_frames: int,
        *,
        lookahead: int,
        interval_ns: int | None,
        max_gap_ns: int,
        older: bool = False,
    ) -> None:
        self._half = num_frames // 2
        self._older = older
        self._lookahead = lookahead
        self._interval_ns = interval_ns
        self._max_gap_ns = max_gap_ns
        self.reset()

    def reset(self) -> None:
        """Forget everything, also the windows not yet taken."""
        self._run: list[_Entry[Value]] = []
        self._next_key = 0  # index in the run; equal to its length when all are answered
        self._starts_run = True
        self._ready: deque[Window[Value]] = deque()
        self._last_stamp_ns: int | None = None
        self._size: tuple[int, int] | None = None

    def is_repeat(self, stamp_ns: int) -> bool:
        """Say whether this is the stamp of the last frame, which then must not be pushed."""
        return stamp_ns == self._last_stamp_ns

    def push(self, stamp_ns: int, size: tuple[int, int], value: Value) -> None:
        """Add the newest frame; it starts a run of its own if it does not continue this one."""
        if not self._continues(stamp_ns, size):
            self.end_run()
        self._run.append(_Entry(stamp_ns, value))
        self._last_stamp_ns, self._size = stamp_ns, size
        self._forget_unreachable()
        if self._next_key + self._lookahead < len(self._run):
            self._complete_next_key()

    def end_run(self) -> None:
        """Complete the waiting key frames with the frames there are."""
        while self._next_key < len(self._run):
            self._complete_next_key()
        self._run.clear()
        self._next_key = 0
        self._starts_run = True

    def next_window(self) -> Window[Value] | None:
        """Take the oldest complete window, or None if none is complete."""
        return self._ready.popleft() if self._ready else None

    def _continues(self, stamp_ns: int, size: tuple[int, int]) -> bool:
        if not self._run:
            return True
        return size == self._size and 0 < stamp_ns - self._run[-1].stamp_ns <= self._max_gap_ns

    def _complete_next_key(self) -> None:
        offsets = range(-self._half, self._half + 1)
        entries = [self._run[self._neighbour_or_older(offset)] for offset in offsets]
        stamps_ns = tuple(entry.stamp_ns for entry in entries)
        values = tuple(entry.value for entry in entries)
        self._ready.append(Window(stamps_ns, values, self._starts_run))
        self._next_key += 1
        self._starts_run = False

    def _neighbour_or_older(self, offset: int) -> int:
        found = self._neighbour(offset)
        if self._older and found == self._next_key and offset > 0:
            return self._neighbour(-self._half - offset)
        return found

    def _neighbour(self, offset: int) -> int:
        """Return the index of the frame that stands `offset` places from the next key frame."""
        # A key frame is completed as soon as its lookahead is there, so the newest frame is the
        # last one that it may see.
        key, last = self._next_key, len(self._run) - 1
        if self._interval_ns is None:
            found = min(max(key + offset, 0), last)
            apart_ns = abs(self._run[found].stamp_ns - self._run[key].stamp_ns)
            return found if apart_ns <= (NEXT_NS if abs(found - key) == 1 else FARTHER_NS) else key
        wanted_ns = self._run[key].stamp_ns + offset * self._interval_ns
        return min(
            range(last + 1),
            key=lambda i: (abs(self._run[i].stamp_ns - wanted_ns), abs(i - key)),
        )

    def _forget_unreachable(self) -> None:
        # Later key frames want later neighbours, so nothing before this one's first is needed.
        places = self._half * (1 + self._older)
        if self._interval_ns is None:
            first = max(self._next_key - places, 0)
        else:
            first = self._neighbour(-places)
        del self._run[:first]
        self._next_key -= first
