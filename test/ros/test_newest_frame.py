"""The mailbox keeps the newest of each camera, takes turns, and ends cleanly."""

import time
from threading import Thread

from pavenet_ros.newest_frame import NewestFrames


def test_newest_wins_and_a_replaced_one_is_told() -> None:
    mailbox: NewestFrames[int] = NewestFrames()
    assert [mailbox.put(0, frame) for frame in (1, 2, 3)] == [False, True, True]
    assert mailbox.take() == (0, 3)


def test_a_frame_taken_in_time_replaces_none() -> None:
    mailbox: NewestFrames[int] = NewestFrames()
    for frame in range(5):
        assert not mailbox.put(0, frame)
        assert mailbox.take() == (0, frame)


def test_a_fast_camera_does_not_starve_a_slow_one() -> None:
    mailbox: NewestFrames[str] = NewestFrames(3)
    mailbox.put(2, 'slow')
    taken = []
    for i in range(6):
        mailbox.put(0, f'fast {i}')
        mailbox.put(1, f'also fast {i}')
        taken.append(mailbox.take())
    assert taken == [
        (0, 'fast 0'),
        (1, 'also fast 1'),
        (2, 'slow'),
        (0, 'fast 3'),
        (1, 'also fast 4'),
        (0, 'fast 5'),
    ]


def test_take_waits_for_a_frame() -> None:
    mailbox: NewestFrames[int] = NewestFrames()
    taken: list[tuple[int, int] | None] = []
    reader = Thread(target=lambda: taken.append(mailbox.take()))
    reader.start()
    time.sleep(0.05)
    assert taken == []
    mailbox.put(0, 7)
    reader.join(5)
    assert taken == [(0, 7)]


def test_take_gives_up_in_time() -> None:
    mailbox: NewestFrames[int] = NewestFrames()
    assert mailbox.take(0.01) is None
    assert not mailbox.is_done


def test_close_wakes_the_reader_after_the_last_frames() -> None:
    mailbox: NewestFrames[int] = NewestFrames(2)
    mailbox.put(0, 1)
    mailbox.put(1, 2)
    mailbox.close()
    assert not mailbox.put(0, 3)
    assert mailbox.take() == (0, 1)
    assert not mailbox.is_done
    assert mailbox.take() == (1, 2)
    assert mailbox.take() is None
    assert mailbox.is_done
