"""The mailbox between the subscription, which must never wait, and the worker, which is slow."""

from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar('Item')


class NewestFrame(Generic[Item]):
    """
    One slot: a new frame replaces one that nobody has taken yet, and counts it as dropped.

    So the worker always takes the newest frame, however slow it is, and nothing piles up.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        self._item: Item | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Return how many frames were replaced before anybody took them."""
        with self._condition:
            return self._dropped

    def put(self, item: Item) -> None:
        """Leave a frame; never waits. After `close` it is ignored."""
        with self._condition:
            if self._closed:
                return
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._condition.notify()

    def take(self) -> Item | None:
        """Wait for a frame and take it; None when the mailbox is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Wake the one who waits; a frame still in the slot is taken first, then None comes."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
