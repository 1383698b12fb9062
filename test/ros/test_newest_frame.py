"""The mailbox keeps the newest, counts what it drops, and ends cleanly."""

import time
from threading import Thread

from pavenet_ros.newest_frame import NewestFrame


def test_newest_wins_and_drops_are_counted() -> None:
    mailbox: NewestFrame[int] = NewestFrame()
    for frame in (1, 2, 3):
        mailbox.put(frame)
    assert mailbox.take() == 3
    assert mailbox.dropped == 2


def test_a_frame_taken_in_time_is_no_drop() -> None:
    mailbox: NewestFrame[int] = NewestFrame()
    for frame in range(5):
        mailbox.put(frame)
        assert mailbox.take() == frame
    assert mailbox.dropped == 0


def test_take_waits_for_a_frame() -> None:
    mailbox: NewestFrame[int] = NewestFrame()
    taken: list[int | None] = []
    reader = Thread(target=lambda: taken.append(mailbox.take()))
    reader.start()
    time.sleep(0.05)
    assert taken == []
    mailbox.put(7)
    reader.join(5)
    assert taken == [7]


def test_close_wakes_the_reader_after_the_last_frame() -> None:
    mailbox: NewestFrame[int] = NewestFrame()
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    assert mailbox.take() == 1
    assert mailbox.take() is None
