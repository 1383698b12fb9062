"""The page about a bag."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('matplotlib')

from pavenet_core.bag.diary import BagDiary, Entry, moved_sizes
from pavenet_core.bag.figures import COLUMNS, binned, curve_svg
from pavenet_core.bag.frame import BagFrame, ImageHeader, Unreadable
from pavenet_core.bag.read import BagSource
from pavenet_core.bag.report import BagReport, presence, write_bag_report
from pavenet_core.cli import main
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17

Predict = Callable[..., str]
STEP_NS = 40_000_000


def person(x: float, number: int = 1, stamp_ns: int = 0) -> Poses:
    """Return somebody whose box is 40 pixels wide and high."""
    rng = np.random.default_rng(0)
    points = np.vstack([[[0, 0], [40, 40]], rng.random((15, 2)) * 40]) + np.array([x, 5])
    ones = np.ones((1, 17), np.float32)
    ids = np.array([number])
    return Poses(stamp_ns, points[None].astype(np.float32), ones, np.ones(1, np.float32), ids=ids)


def frame(index: int, stamp_ns: int, delay_ms: float = 5.0, brightness: int = 90) -> BagFrame:
    header = ImageHeader(index, stamp_ns, stamp_ns + round(delay_ms * 1e6), 'optical')
    return BagFrame(np.full((60, 80, 3), brightness, np.uint8), stamp_ns, header)


def diary_of(steps: list[int]) -> BagDiary:
    """Return the diary of images at these numbers of steps from the beginning."""
    diary = BagDiary(len(steps), COCO17)
    for index, step in enumerate(steps):
        diary.take(frame(index, 10**18 + step * STEP_NS), person(2.0 * step), 0.02)
    return diary


def page_of(diary: BagDiary, **changes: Any) -> str:
    source = BagSource(Path('a/<walk>'), '/camera/image_raw', 25.0, len(diary.entries))
    report = BagReport('pavenet predict "<a & b>"', 'stand-in 1', source, diary)
    return write_bag_report(replace(report, **changes))


class Tags(HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_says_everything_and_needs_nothing() -> None:
    page = page_of(diary_of([0, 1, 2, 3, 7, 8, 9]))
    assert '<h1>/camera/image_raw of &lt;walk&gt;</h1>' in page
    assert 'pavenet predict &quot;&lt;a &amp; b&gt;&quot;' in page
    for heading in ('People', 'Pictures', 'Speed of motion', 'Rate, gaps', 'Age', 'Processing'):
        assert f'<h2>{heading}' in page
    assert '7 of 80x60 pixels, frame_id optical' in page
    # One gap of four steps, in which three images are missing.
    row = '<td>25.00 / s</td><td>1</td><td>160 ms</td><td>3</td><td>0</td><td>0</td>'
    assert row in page
    assert '<td>3</td><td>160 ms</td>' in page  # after image 3
    assert '5.0 ms (median)' in page
    assert '20.0 ms (median)' in page
    assert page.count('<figure>') == 6
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert 'http' not in re.sub(r'"http://www.w3.org/[^"]*"', '', page).split('<svg')[0]
    Tags(page)


def test_what_is_too_wide_for_a_telephone_moves_in_its_own_place() -> None:
    page = page_of(diary_of([0, 1, 2, 3, 7, 8, 9]))
    assert '<meta name="viewport" content="width=device-width">' in page
    assert '.wide { overflow-x: auto }' in page
    for part in ('<svg', '<table>'):
        assert page.count(part) == page.count(f'<div class="wide">{part}') > 1


def test_speed_is_told_in_sizes_of_the_person() -> None:
    speeds = [entry.speeds for entry in diary_of([0, 1, 2, 4]).entries]
    assert speeds[0] == ()
    for speed in speeds[1:]:  # 2 of its 40 pixels in each step of 40 ms
        assert speed == pytest.approx((2 / 40 / 0.04,), rel=1e-3)
    assert diary_of([0, 30]).entries[1].speeds == ()  # more than a second apart
    a, b = person(0), person(30)
    b.keypoint_scores[:] = 0.1
    assert moved_sizes(a, b) is None


def test_a_picture_stands_for_each_part_of_the_bag() -> None:
    diary = BagDiary(12, COCO17)
    for index in range(12):
        poses = person(5) if index % 2 else person(5).take([])
        diary.take(frame(index, 10**18 + index * STEP_NS), poses, 0.0)
    assert [moment.entry.index for moment in diary.moments] == [1, 3, 5, 7, 9, 11]


def test_presence_has_a_break_where_somebody_was_away() -> None:
    entry = diary_of([0]).entries[0]
    ids = [(1,), (1, 2), (0,), (1,), (1, 2)]
    entries: list[Entry] = [replace(entry, ids=each) for each in ids]
    times = np.array([0.0, 0.5, 1.0, 2.0, 2.5])
    assert presence(entries, times) == {1: [(0.0, 0.5), (2.0, 0.5)], 2: [(0.5, 0.0), (2.5, 0.0)]}


def test_a_long_bag_has_a_small_page_and_keeps_its_peaks() -> None:
    entry = diary_of([0]).entries[0]
    diary = diary_of([0, 1])
    diary.entries[:] = [
        replace(entry, index=i, stamp_ns=i * STEP_NS, recorded_ns=i * STEP_NS, ids=(1 + i // 50,))
        for i in range(20_000)
    ]
    assert len(page_of(diary)) < 1_000_000
    values = np.zeros(20_000)
    values[777] = 9.0
    median, _, most = binned(np.arange(20_000) * 0.04, values, 800.0)
    assert len(median[1]) == COLUMNS
    assert most[1].max() == 9.0
    assert median[1].max() == 0.0


def test_nobody_stamps_of_zero_and_a_single_image_have_a_page_too() -> None:
    diary = BagDiary(1, COCO17)
    header = ImageHeader(0, 0, 10**18, '')
    diary.take(BagFrame(np.zeros((60, 80, 3), np.uint8), 10**18, header), person(0).take([]), 0.01)
    page = page_of(diary)
    assert '<h2>People</h2>' in page
    assert 'frame_id empty' in page
    for heading in ('Speed', 'Age', 'Rate'):
        assert f'<h2>{heading}' not in page
    Tags(page)


def test_time_that_goes_back_and_lost_images_are_counted() -> None:
    source = BagSource(Path('walk'), '/image', 25.0, 5)
    source.unreadable.append(Unreadable(ImageHeader(9, 0, 0, ''), 'it is <torn>'))
    page = page_of(diary_of([0, 1, 2, 0, 1]), source=source)
    assert '<td>1</td><td>1</td></tr>' in page
    assert 'could not be decoded, 9: it is &lt;torn&gt;' in page


def test_a_curve_leaves_out_what_is_not_known() -> None:
    svg = curve_svg(np.arange(3.0), np.array([1.0, np.nan, 2.0]), 'ms', 2.0)
    assert svg.startswith('<div class="wide"><svg')
    assert 'nan' not in svg.lower()


def test_people_are_not_counted_in_halves() -> None:
    times, counts = np.arange(3.0), np.array([1.0, 2.0, 1.0])
    assert '>0.5<' in curve_svg(times, counts, 'ms', 8.0)
    assert '>0.5<' not in curve_svg(times, counts, 'people', 8.0, whole=True)


def test_predict_writes_the_page_with_drops_of_a_live_node(
    stand_in: Path, bag: Path, tmp_path: Path, predict: Predict
) -> None:
    predict(stand_in, tmp_path / 'a.json', bag, '--bag', tmp_path / 'live')
    words = ['--report', tmp_path / 'new' / 'r.html', '--against', tmp_path / 'live']
    predict(stand_in, tmp_path / 'b.json', bag, *words)
    page = (tmp_path / 'new' / 'r.html').read_text()
    assert 'Against the live node' in page
    assert 'dropped 0 of 6' in page
    assert page.count('<figure>') == 6
    assert (tmp_path / 'a.json').read_text() == (tmp_path / 'b.json').read_text()


def test_each_of_several_bags_has_a_page(stand_in: Path, bags: Any, tmp_path: Path) -> None:
    for name in ('a', 'b'):
        bags.write(tmp_path / 'bags' / name, {bags.topic: bags.images(3)})
    words = ['predict', tmp_path / 'bags', '--into', tmp_path / 'into', '--model', stand_in]
    assert main([*map(str, words), '--report', 'page.html']) == 0
    for name in ('a', 'b'):
        text = (tmp_path / 'into' / name / 'page.html').read_text()
        assert f'<h1>{bags.topic} of {name}</h1>' in text
        assert 'partial' not in text
