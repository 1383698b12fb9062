"""The mailbox between the subscriptions, which must never wait, and the worker, which is slow."""

from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar('Item')


class NewestFrames(Generic[Item]):
    """
    One slot per camera: a new frame replaces one that nobody has taken yet.

    So the worker always takes the newest frame, however slow it is, and nothing piles up. Cameras
    with a waiting frame are served in turns, so a fast one can't starve a slow one.
    """

    def __init__(self, num_slots: int = 1) -> None:
        self._condition = Condition()
        self._items: list[Item | None] = [None] * num_slots
        self._next_slot = 0
        self._closed = False

    @property
    def is_done(self) -> bool:
        """Say whether it is closed and empty."""
        with self._condition:
            return self._closed and self._waiting_slot() < 0

    def put(self, slot: int, item: Item) -> bool:
        """Leave a frame without waiting; say whether it replaced one. Ignored after `close`."""
        with self._condition:
            if self._closed:
                return False
            replaced = self._items[slot] is not None
            self._items[slot] = item
            self._condition.notify()
            return replaced

    def take(self, timeout_s: float | None = None) -> tuple[int, Item] | None:
        """
        Wait for a frame and take it, with its slot; None when time is up or after `close`.

        Frames that were left before `close` are still taken.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._waiting_slot() >= 0, timeout_s)
            slot = self._waiting_slot()
            item = self._items[slot] if slot >= 0 else None
            if item is None:
                return None
            self._items[slot] = None
            self._next_slot = (slot + 1) % len(self._items)
            return slot, item

    def close(self) -> None:
        """Wake the one who waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _waiting_slot(self) -> int:
        """Return the slot whose turn it is, or -1 if all are empty."""
        slots = range(self._next_slot, self._next_slot + len(self._items))
        waiting = (slot % len(self._items) for slot in slots)
        return next((slot for slot in waiting if self._items[slot] is not None), -1)
