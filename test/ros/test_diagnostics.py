"""The level and the sentence fit what happened in the last seconds."""

from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from pavenet_ros import camera_stats
from pavenet_ros.camera_stats import Counts
from pavenet_ros.diagnostics import ERROR, OK, WARN, CameraMonitor

UNREADABLE = f'{camera_stats.UNREADABLE}: step'


def counts(**changes: Any) -> Counts:
    values: dict[str, Any] = {
        'received': 0,
        'answered': 0,
        'drops': {},
        'new_videos': {},
        'last_image_s': None,
        'age_ms': 0.0,
        'processing_ms': 0.0,
    }
    return Counts(**values | changes)


@pytest.mark.parametrize(
    ('now', 'level', 'message'),
    [
        (counts(received=9, answered=9), OK, 'answering'),
        (counts(received=9, answered=5, drops={camera_stats.REPLACED: 4}), OK, 'answering'),
        (counts(received=9, drops={camera_stats.UNWANTED: 9}), OK, 'nobody listens'),
        (counts(received=9, drops={camera_stats.DISABLED: 9}), OK, 'disabled'),
        (counts(received=9, answered=8, drops={UNREADABLE: 1}), WARN, '1 unreadable: step'),
        (counts(received=9, drops={UNREADABLE: 9}), ERROR, '9 unreadable: step'),
        (counts(received=9, answered=8, drops={camera_stats.FAILED: 1}), ERROR, 'see the log'),
        (
            counts(received=9, drops={camera_stats.REPEATED: 9}),
            WARN,
            'stamp of the one before',
        ),
        (
            counts(received=9, answered=9, new_videos={camera_stats.TIME_WENT_BACK: 1}),
            WARN,
            'time went back',
        ),
        (counts(received=9, answered=9, new_videos={camera_stats.GAP: 5}), WARN, 'raise it'),
        (counts(received=9, answered=9, new_videos={camera_stats.GAP: 4}), OK, 'answering'),
        (counts(received=9, answered=1, new_videos={camera_stats.GAP: 1}), OK, 'answering'),
        (
            counts(received=9, answered=9, new_videos={camera_stats.NEW_FRAME_ID: 8}),
            WARN,
            'more than one camera',
        ),
    ],
)
def test_what_happened_is_judged(now: Counts, level: bytes, message: str) -> None:
    report = CameraMonitor(10.0, counts()).report(now, 11.0, '')
    assert report.level == level
    assert message in report.message
    assert report.values['images in (Hz)'] == '9.0'


def test_faults_are_forgotten_after_a_while() -> None:
    monitor = CameraMonitor(0.0, counts())
    bad = {UNREADABLE: 1}
    levels = []
    for second in range(1, 8):
        now = counts(received=second, answered=second - 1, drops=bad, last_image_s=float(second))
        levels.append(monitor.report(now, float(second), '').level)
    assert levels == [ERROR, WARN, WARN, WARN, WARN, OK, OK]


def test_a_model_that_takes_longer_than_anybody_waits_is_not_called_answering() -> None:
    monitor = CameraMonitor(0.0, counts())
    reports = []
    for second in range(1, 9):
        answered = int(second >= 7)
        now = counts(
            received=30 * second,
            answered=answered,
            drops={camera_stats.REPLACED: 30 * second - 1 - answered},
            last_image_s=float(second),
        )
        reports.append(monitor.report(now, float(second), ''))
    assert [report.level for report in reports] == [OK] * 4 + [WARN] * 2 + [OK] * 2
    assert {report.message for report in reports[:4]} == {'no result yet'}
    assert reports[5].message.startswith('no result for 5 s: the model takes longer')
    assert reports[7].message == 'answering'


def test_silence_is_an_error_that_says_who_could_speak() -> None:
    monitor = CameraMonitor(0.0, counts())
    assert monitor.report(counts(), 4.9, 'nobody publishes').level == OK
    report = monitor.report(counts(), 6.0, 'nobody publishes')
    assert report.level == ERROR
    assert report.message == 'no image for 6 s; nobody publishes'


def test_rates_are_of_the_last_seconds() -> None:
    monitor = CameraMonitor(0.0, counts())
    for second in range(1, 21):
        rate = 30 if second <= 10 else 10
        received = 30 * min(second, 10) + 10 * max(0, second - 10)
        now = counts(received=received, last_image_s=float(second))
        report = monitor.report(now, float(second), '')
    assert report.values['images in (Hz)'] == f'{rate}.0'
