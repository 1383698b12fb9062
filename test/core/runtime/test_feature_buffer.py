"""The buffer against a definition of the windows that knows all frames at once."""

from weakref import WeakSet

import numpy as np
import pytest

from pavenet_core.runtime.feature_buffer import FeatureBuffer, Window

MS = 1_000_000
GAP_NS = 1000 * MS
SIZE = (640, 480)

# A frame as the tests write it: its stamp and its image size; its value is its index.
Video = list[tuple[int, tuple[int, int]]]
Answers = list[tuple[int, tuple[int, ...]]]


def make_buffer(
    num_frames: int = 3,
    lookahead: int = 0,
    interval_ns: int | None = None,
    older: bool = False,
) -> FeatureBuffer[int]:
    return FeatureBuffer(
        num_frames, lookahead=lookahead, interval_ns=interval_ns, max_gap_ns=GAP_NS, older=older
    )


def stream(buffer: FeatureBuffer[int], video: Video) -> list[Window[int] | None]:
    """Push as the estimator does; one answer at most per frame, then the rest."""
    answers = []
    for index, (stamp_ns, size) in enumerate(video):
        if not buffer.is_repeat(stamp_ns):
            buffer.push(stamp_ns, size, index)
        answers.append(buffer.next_window())
    buffer.end_run()
    while (window := buffer.next_window()) is not None:
        answers.append(window)
    return answers


def answered(answers: list[Window[int] | None]) -> Answers:
    return [(window.stamp_ns, window.values) for window in answers if window is not None]


def steady(count: int, step_ms: int = 40) -> Video:
    return [(i * step_ms * MS, SIZE) for i in range(count)]


def define_windows(
    video: Video, num_frames: int, lookahead: int, interval_ns: int | None, older: bool
) -> Answers:
    """Say in plain words, with all frames at hand, what the windows are."""
    return [
        (
            video[run[place]][0],
            one_window(video, run, place, num_frames, lookahead, interval_ns, older),
        )
        for run in split_runs(video)
        for place in range(len(run))
    ]


def split_runs(video: Video) -> list[list[int]]:
    distinct = [i for i in range(len(video)) if i == 0 or video[i][0] != video[i - 1][0]]
    runs: list[list[int]] = []
    for index in distinct:
        stamp, size = video[index]
        if runs:
            last_stamp, last_size = video[runs[-1][-1]]
            if size == last_size and last_stamp < stamp <= last_stamp + GAP_NS:
                runs[-1].append(index)
                continue
        runs.append([index])
    return runs


def one_window(
    video: Video,
    run: list[int],
    place: int,
    num_frames: int,
    lookahead: int,
    interval_ns: int | None,
    older: bool,
) -> tuple[int, ...]:
    seen = run[: place + lookahead + 1]

    def at(offset: int) -> int:
        if interval_ns is None:
            found = max(0, min(place + offset, len(seen) - 1))
            apart = abs(video[seen[found]][0] - video[run[place]][0])
            is_near = apart <= (200 if abs(found - place) == 1 else 100) * MS
            return found if is_near else place
        time = video[run[place]][0] + offset * interval_ns
        distances = [abs(video[index][0] - time) for index in seen]
        nearest = [i for i, d in enumerate(distances) if d == min(distances)]
        return min(nearest, key=lambda i: abs(i - place))

    half, window = num_frames // 2, []
    for offset in range(-half, half + 1):
        found = at(offset)
        if older and offset > 0 and found == place:
            found = at(-half - offset)
        window.append(seen[found])
    return tuple(window)


def random_video(rng: np.random.Generator) -> Video:
    """Make a video with everything that goes wrong: jitter, repeats, gaps, jumps, new sizes."""
    stamp, size, video = 0, SIZE, []
    for _ in range(rng.integers(0, 40)):
        step = rng.choice(
            ['next', 'repeat', 'gap', 'back', 'size'], p=[0.8, 0.08, 0.04, 0.04, 0.04]
        )
        if step == 'next':
            stamp += int(rng.choice([1, 10, 20, 33, 40, 60, 100, 1000])) * MS
        elif step == 'gap':
            stamp += int(rng.integers(1001, 5000)) * MS
        elif step == 'back':
            stamp -= int(rng.integers(1, 500)) * MS
        elif step == 'size':
            size = (int(rng.integers(1, 3)) * 320, 240)
            stamp += 40 * MS
        video.append((stamp, size))
    return video


def check_stamps(video: Video, windows: list[Window[int]]) -> None:
    first = {run[0] for run in split_runs(video)}
    for window in windows:
        assert window.stamps_ns == tuple(video[index][0] for index in window.values)
        assert window.stamp_ns == video[window.key][0]
        assert window.starts_run == (window.key in first)


@pytest.mark.parametrize('num_frames', [1, 3, 5, 7])
@pytest.mark.parametrize('interval_ms', [None, 16, 40, 80])
@pytest.mark.parametrize('older', [False, True])
def test_any_video_gets_the_windows_of_the_definition(
    num_frames: int, interval_ms: int | None, older: bool
) -> None:
    interval_ns = None if interval_ms is None else interval_ms * MS
    rng = np.random.default_rng(7)
    for _ in range(60):
        video = random_video(rng)
        for lookahead in range(num_frames // 2 + 1):
            answers = stream(make_buffer(num_frames, lookahead, interval_ns, older), video)
            expected = define_windows(video, num_frames, lookahead, interval_ns, older)
            assert answered(answers) == expected
            check_stamps(video, [answer for answer in answers if answer])
            assert all(a is not None for a in answers[len(video) :])


@pytest.mark.parametrize('lookahead', [0, 1, 2])
def test_in_a_steady_video_answers_come_lookahead_frames_late(lookahead: int) -> None:
    video = steady(10)
    answers = stream(make_buffer(5, lookahead), video)
    assert answers[:lookahead] == [None] * lookahead
    assert [a.stamp_ns for a in answers[lookahead:] if a] == [stamp for stamp, _ in video]


@pytest.mark.parametrize('lookahead', [0, 1, 2])
def test_answers_never_come_later_than_that(lookahead: int) -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        stamps = np.cumsum(rng.integers(1, 1500, 30)) * MS  # with gaps, without repeats
        answers = stream(make_buffer(5, lookahead), [(int(stamp), SIZE) for stamp in stamps])
        came = {answer.stamp_ns: i for i, answer in enumerate(answers) if answer}
        assert list(came) == stamps.tolist()
        assert all(came[stamp] <= i + lookahead for i, stamp in enumerate(stamps.tolist()))


def test_without_lookahead_the_key_frame_stands_in_for_the_future() -> None:
    windows = [values for _, values in answered(stream(make_buffer(5), steady(4)))]
    assert windows == [(0, 0, 0, 0, 0), (0, 0, 1, 1, 1), (0, 1, 2, 2, 2), (1, 2, 3, 3, 3)]


def test_an_older_frame_may_stand_in_for_the_future() -> None:
    live = answered(stream(make_buffer(older=True), steady(4)))
    assert [values for _, values in live] == [(0, 0, 0), (0, 1, 0), (1, 2, 0), (2, 3, 1)]
    late = answered(stream(make_buffer(3, 1, older=True), steady(4)))
    assert [values for _, values in late] == [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 1)]


def test_with_full_lookahead_both_edges_are_repeated() -> None:
    windows = [values for _, values in answered(stream(make_buffer(3, 1), steady(4)))]
    assert windows == [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 3)]


def test_a_single_frame_is_its_own_neighbour() -> None:
    assert answered(stream(make_buffer(3, 1), steady(1))) == [(0, (0, 0, 0))]


@pytest.mark.parametrize(
    'second',
    [
        pytest.param((40 * MS + GAP_NS + 1, SIZE), id='gap'),
        pytest.param((10 * MS, SIZE), id='time goes back'),
        pytest.param((80 * MS, (320, 240)), id='other size'),
    ],
)
def test_a_window_never_spans_two_runs(second: tuple[int, tuple[int, int]]) -> None:
    video = [(0, SIZE), (40 * MS, SIZE), second, (second[0] + 40 * MS, second[1])]
    windows = [values for _, values in answered(stream(make_buffer(3, 1), video))]
    assert windows == [(0, 0, 1), (0, 1, 1), (2, 2, 3), (2, 3, 3)]


def test_a_pause_as_long_as_the_limit_is_no_gap() -> None:
    for pause_ns, expected in ((GAP_NS, [True, False]), (GAP_NS + 1, [True, True])):
        windows = stream(make_buffer(), [(0, SIZE), (pause_ns, SIZE)])
        assert [window.starts_run for window in windows if window] == expected


@pytest.mark.parametrize(
    ('step_ms', 'live', 'late'),
    [
        (50, (2, 3, 1), (2, 3, 4)),
        (51, (2, 3, 3), (2, 3, 4)),
        (200, (2, 3, 3), (2, 3, 4)),
        (201, (3, 3, 3), (3, 3, 3)),
    ],
)
def test_frames_too_far_away_in_time_are_not_seen_together(
    step_ms: int, live: tuple[int, ...], late: tuple[int, ...]
) -> None:
    video = steady(6, step_ms)
    assert answered(stream(make_buffer(older=True), video))[3][1] == live
    assert answered(stream(make_buffer(3, 1, older=True), video))[3][1] == late
    five = answered(stream(make_buffer(5, 2), video))[3][1]
    assert five == ((1, 2, 3, 4, 5) if step_ms == 50 else (3, *late, 3))
    assert answered(stream(make_buffer(3, 0, step_ms * MS), video))[3][1] == (2, 3, 3)


def test_after_a_pause_only_what_came_since_is_seen_together() -> None:
    video = [(0, SIZE), (40 * MS, SIZE), (600 * MS, SIZE), (640 * MS, SIZE), (680 * MS, SIZE)]
    windows = [values for _, values in answered(stream(make_buffer(older=True), video))]
    assert windows == [(0, 0, 0), (0, 1, 0), (2, 2, 2), (2, 3, 3), (3, 4, 2)]


def test_a_repeated_stamp_is_recognised_also_after_the_end_of_a_run() -> None:
    buffer = make_buffer()
    assert not buffer.is_repeat(0)
    buffer.push(0, SIZE, 0)
    assert buffer.is_repeat(0)
    buffer.end_run()
    assert buffer.is_repeat(0)
    buffer.reset()
    assert not buffer.is_repeat(0)


def test_frames_are_chosen_by_time_at_any_camera_rate() -> None:
    fast = answered(stream(make_buffer(3, 0, 40 * MS), steady(10, step_ms=10)))
    assert fast[9][1] == (5, 9, 9)
    slow = answered(stream(make_buffer(3, 1, 40 * MS), steady(10, step_ms=60)))
    assert slow[5][1] == (4, 5, 6)


def test_of_two_frames_as_near_in_time_the_one_closer_to_the_key_frame_is_taken() -> None:
    windows = answered(stream(make_buffer(3, 0, 30 * MS), steady(4, step_ms=20)))
    assert windows[3][1] == (2, 3, 3)


@pytest.mark.parametrize(
    ('interval_ms', 'older', 'most'),
    [(None, False, 4), (40, False, 7), (None, True, 6), (40, True, 11)],
)
def test_only_frames_that_a_window_can_need_are_kept(
    interval_ms: int | None, older: bool, most: int
) -> None:
    class Feature:
        pass

    interval_ns = None if interval_ms is None else interval_ms * MS
    buffer: FeatureBuffer[Feature] = FeatureBuffer(
        5, lookahead=1, interval_ns=interval_ns, max_gap_ns=GAP_NS, older=older
    )
    alive: WeakSet[Feature] = WeakSet()
    for stamp_ns, size in steady(50, step_ms=20):
        feature = Feature()
        alive.add(feature)
        buffer.push(stamp_ns, size, feature)
        buffer.next_window()
        del feature
        assert len(alive) <= most


def test_reset_forgets_windows_that_were_not_taken() -> None:
    buffer = make_buffer(3, 1)
    for stamp_ns, size in steady(3):
        buffer.push(stamp_ns, size, 0)
    buffer.reset()
    buffer.end_run()
    assert buffer.next_window() is None
