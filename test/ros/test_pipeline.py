"""The pipeline on the stand-in model: right headers, one answer per image, faults counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from pavenet_core.runtime import PoseModel
from pavenet_ros import camera_stats
from pavenet_ros.camera_stats import CameraStats
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.parameters import TABLE, NodeParameters
from pavenet_ros.pipeline import Answer, ImagePipeline, Received

SECOND_NS = 1_000_000_000
STEP_NS = 40_000_000


class Bench:
    """A pipeline, and what it said."""

    def __init__(self, model: PoseModel, **settings: Any) -> None:
        defaults = {row.name: row.default for row in TABLE} | {'cameras': ('',)}
        self.settings = NodeParameters(**defaults | settings)
        self.stats = CameraStats()
        self.answers: list[Answer] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.pipeline = ImagePipeline(
            model,
            self.settings,
            self.stats,
            publish=self._publish,
            warn=lambda kind, text: self.warnings.append(text),
            error=lambda kind, text: self.errors.append(text),
        )

    def _publish(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.stats.count_answer(0.0, 0.0)

    def feed(self, *messages: Any, arrival_ns: int = 0) -> None:
        for msg in messages:
            self.stats.count_received(0.0)
            arrival_ns += 1
            self.pipeline.process(Received(msg, arrival_ns))

    def change(self, **settings: Any) -> None:
        self.settings = replace(self.settings, **settings)
        self.pipeline.settings = self.settings

    def stamps(self) -> list[int]:
        return [stamp_ns(answer.header) for answer in self.answers]

    def people(self) -> list[int]:
        return [len(answer.poses) for answer in self.answers]

    def check_all_are_accounted_for(self) -> None:
        counts = self.stats.counts()
        assert counts.received == counts.answered + sum(counts.drops.values())


@pytest.fixture(scope='session')
def model(stand_in: Path) -> PoseModel:
    return PoseModel(stand_in, num_threads=1)


@pytest.fixture
def image(make_image: Callable[..., Any]) -> Callable[..., Any]:
    return make_image


@pytest.mark.parametrize('lookahead', [0, 1])
def test_every_image_is_answered_once_with_its_own_header(
    model: PoseModel, image: Callable[..., Any], lookahead: int
) -> None:
    bench = Bench(model, lookahead=lookahead)
    messages = [image(10 * SECOND_NS + i * STEP_NS) for i in range(6)]
    for i, msg in enumerate(messages):
        bench.feed(msg)
        assert len(bench.answers) == max(0, i + 1 - lookahead)
    bench.pipeline.finish()
    assert [answer.header for answer in bench.answers] == [msg.header for msg in messages]
    assert {answer.size for answer in bench.answers} == {(60, 40)}
    assert bench.people() == [3] * 6
    bench.check_all_are_accounted_for()


def test_an_image_without_people_is_answered_too(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model)
    bench.feed(image(1), image(2, brightness=0))
    assert bench.people() == [3, 0]


@pytest.mark.parametrize('lookahead', [0, 1])
def test_a_repeated_stamp_is_answered_once(
    model: PoseModel, image: Callable[..., Any], lookahead: int
) -> None:
    bench = Bench(model, lookahead=lookahead)
    bench.feed(*(image(stamp) for stamp in (1, 1, 2, 2, 3)))
    bench.pipeline.finish()
    bench.feed(image(3))  # also when the video has ended since
    assert bench.stamps() == [1, 2, 3]
    assert bench.stats.counts().drops == {camera_stats.REPEATED: 3}
    bench.check_all_are_accounted_for()


def test_a_driver_without_a_clock_gets_every_image_answered(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model, lookahead=1)
    for arrival_ns in range(SECOND_NS, 5 * SECOND_NS, SECOND_NS // 2):
        bench.feed(image(0), arrival_ns=arrival_ns)
    bench.pipeline.finish()
    assert bench.stamps() == [0] * 8
    assert bench.stats.counts().new_videos == {}


def test_the_time_of_arrival_shows_gaps_too(model: PoseModel, image: Callable[..., Any]) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(0, brightness=50), arrival_ns=SECOND_NS)
    bench.feed(image(0, brightness=60), arrival_ns=4 * SECOND_NS)
    assert bench.stats.counts().new_videos == {camera_stats.GAP: 1}
    assert len(bench.answers) == 1


def test_another_frame_id_is_another_video(model: PoseModel, image: Callable[..., Any]) -> None:
    bench = Bench(model, lookahead=1)
    messages = [image(1), image(2), image(3, frame_id='right'), image(3)]
    bench.feed(*messages)
    bench.pipeline.finish()
    assert [answer.header for answer in bench.answers] == [msg.header for msg in messages]
    assert bench.stats.counts().new_videos == {camera_stats.NEW_FRAME_ID: 2}


def test_another_size_is_another_video(model: PoseModel, image: Callable[..., Any]) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(1), image(2, size=(30, 80)), image(3, size=(30, 80)))
    bench.pipeline.finish()
    assert [answer.size for answer in bench.answers] == [(60, 40), (30, 80), (30, 80)]
    assert bench.stats.counts().new_videos == {camera_stats.NEW_SIZE: 1}


@pytest.mark.parametrize('lookahead', [0, 1])
def test_a_bag_that_starts_over_loses_and_repeats_nothing(
    model: PoseModel, image: Callable[..., Any], lookahead: int
) -> None:
    bench = Bench(model, lookahead=lookahead)
    # Both rounds begin with the same stamps; brightness tells them apart.
    messages = [
        image(5 * SECOND_NS + i * STEP_NS, brightness=brightness)
        for brightness in (50, 200)
        for i in range(3)
    ]
    bench.feed(*messages)
    bench.pipeline.finish()
    assert [answer.header for answer in bench.answers] == [msg.header for msg in messages]
    assert [int(answer.image[0, 0, 0]) for answer in bench.answers] == [50] * 3 + [200] * 3
    assert bench.stats.counts().new_videos == {camera_stats.TIME_WENT_BACK: 1}
    assert len(bench.warnings) == 1
    assert 'time went back by 0.080 s' in bench.warnings[0]


def test_a_bad_image_is_skipped_with_a_sentence(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model)
    bad = image(2)
    bad.encoding = 'jpeg?'
    bench.feed(image(1), bad, image(2), image(3))
    assert bench.stamps() == [1, 2, 3]
    assert bench.stats.counts().drops == {'unreadable: encoding': 1}
    assert len(bench.warnings) == 1
    assert "'jpeg?'" in bench.warnings[0]


def test_what_breaks_costs_one_image_and_not_the_worker(
    model: PoseModel, image: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(model)
    bench.feed(image(1))
    with monkeypatch.context() as patch:
        patch.setattr(model, 'pose_decoder', lambda frames: 1 / 0)
        bench.feed(image(2))
    bench.feed(image(3))
    assert bench.stamps() == [1, 3]
    assert bench.stats.counts().drops == {camera_stats.FAILED: 1}
    assert 'ZeroDivisionError' in bench.errors[0]
    bench.check_all_are_accounted_for()


def test_a_publisher_that_breaks_is_counted_once(
    model: PoseModel, image: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(1))
    with monkeypatch.context() as patch:
        patch.setattr(bench.pipeline, '_publish', lambda answer: 1 / 0)
        bench.feed(image(2))
    bench.feed(image(3))
    bench.pipeline.finish()
    assert bench.stamps() == [3]
    bench.check_all_are_accounted_for()


def test_threshold_and_number_of_people_change_with_the_next_image(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model)
    bench.feed(image(1))
    bench.change(score_threshold=0.8)
    bench.feed(image(2))
    bench.change(score_threshold=0.0, max_people=2)
    bench.feed(image(3))
    assert bench.people() == [3, 1, 2]
    assert bench.stats.counts().new_videos == {}


def test_ids_go_on_when_timing_changes_and_can_be_turned_off(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model, score_threshold=0.8)
    bench.feed(image(1), image(2))
    bench.change(max_gap=2.0)
    bench.feed(image(3))
    bench.change(identities=False)
    bench.feed(image(4))
    bench.change(identities=True)
    bench.feed(image(5), image(6))
    assert [answer.poses.id_names[0] for answer in bench.answers] == ['1', '1', '2', '', '3', '3']


@pytest.mark.parametrize(
    'change', [{'lookahead': 0}, {'frame_interval': 0.1}, {'max_gap': 2.0}], ids=str
)
def test_a_change_of_timing_gives_the_answers_due_first(
    model: PoseModel, image: Callable[..., Any], change: dict[str, Any]
) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(1), image(2))
    bench.change(**change)
    bench.feed(image(3), image(4))
    bench.pipeline.finish()
    assert bench.stamps() == [1, 2, 3, 4]


def test_starting_anew_forgets_what_is_due_and_what_was_seen(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(1), image(2))
    bench.pipeline.start_anew()
    bench.feed(image(3))
    bench.pipeline.finish()
    assert bench.stamps() == [1, 3]
    assert bench.stats.counts().drops == {camera_stats.RESET: 1}
    bench.check_all_are_accounted_for()


def test_starting_anew_holds_when_no_further_image_comes(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model, lookahead=1)
    bench.feed(image(1))
    bench.pipeline.start_anew()
    bench.pipeline.finish()
    assert bench.stamps() == []
    assert bench.stats.counts().drops == {camera_stats.RESET: 1}


def test_a_pause_ends_the_video_and_loses_nothing(
    model: PoseModel, image: Callable[..., Any]
) -> None:
    bench = Bench(model, lookahead=1, score_threshold=0.8)
    bench.feed(image(1))
    bench.pipeline.pause()
    bench.feed(image(2), image(3))
    assert bench.stamps() == [1, 2]
    assert bench.stats.counts().drops == {}
    assert [answer.poses.id_names[0] for answer in bench.answers] == ['1', '2']


@pytest.mark.parametrize('rate_hz', [5, 30, 120])
def test_frames_are_chosen_by_time_at_any_rate(
    model: PoseModel, image: Callable[..., Any], rate_hz: int
) -> None:
    """With 0.2 s between a window's images, the one before the key is as old at any rate."""
    bench = Bench(model, frame_interval=0.2)
    for i in range(rate_hz + 1):
        bench.feed(image(SECOND_NS + i * SECOND_NS // rate_hz, brightness=i))
    # The stand-in puts keypoint 0 at the share of the brightness of the window's first image.
    first = bench.answers[-1].poses.keypoints_px[0, 0, 0] / 60 * 255
    assert round(float(first)) == rate_hz - round(0.2 * rate_hz)
    assert len(bench.answers) == rate_hz + 1
