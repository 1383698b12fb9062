"""One table: the node, the YAML file, the page and the dataclass agree; bad values are refused."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

import yaml
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from pavenet_ros.parameters import (
    TABLE,
    NodeParameters,
    Parameter,
    change_live,
    check_parameters,
    check_words,
)

SUCCESS = TransitionCallbackReturn.SUCCESS
Maker = Callable[..., Any]
ROOT = Path(__file__).parents[2]
DEFAULTS = NodeParameters(
    **{row.name: row.default for row in TABLE} | {'cameras': ('',), 'image_size': (640, 480)}
)


def test_table_is_the_dataclass() -> None:
    assert sorted(row.name for row in TABLE) == sorted(f.name for f in fields(NodeParameters))


def test_table_is_the_yaml_file() -> None:
    written = yaml.safe_load((ROOT / 'config' / 'pose.yaml').read_text())['/**']['ros__parameters']
    assert list(written.items()) == [(row.name, row.default) for row in TABLE]


def documented(row: Parameter) -> str:
    allowed = ', '.join(row.choices) if row.choices else ''
    if row.low is not None:
        allowed = f'{row.low} to {row.high}'
    changes = 'at any time' if row.is_live else 'while unconfigured'
    default = repr(row.default).lower() if isinstance(row.default, bool) else row.default
    return f'| `{row.name}` | `{default}` | {allowed} | {changes} | {row.meaning} |'


def test_table_is_the_page() -> None:
    page = (ROOT / 'docs' / 'ros_api.md').read_text()
    begin = page.index('| parameter | default |')
    lines = page[begin:].split('\n\n')[0].splitlines()
    assert lines[2:] == [documented(row) for row in TABLE]


def test_defaults_are_good() -> None:
    check_parameters(DEFAULTS, num_frames=1)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'image_qos': 'best'}, "one of auto, reliable, best_effort, got 'best'"),
        ({'image_transport': ''}, "one of raw, compressed, got ''"),
        ({'device': 'gpu'}, "one of auto, cpu, cuda, tensorrt, got 'gpu'"),
        ({'image_size': (640,)}, r'a width and a height in pixels, got \[640\]'),
        ({'image_size': (640, 0)}, r'got \[640, 0\]'),
        ({'image_size': (64_000, 4_800)}, r'got \[64000, 4800\]; at most 64 megapixels'),
        ({'cameras': ()}, 'cameras is empty'),
        ({'cameras': ('front', '')}, "cameras has ''"),
        ({'cameras': ('front cam',)}, "cameras has 'front cam'"),
        (
            {'cameras': ('a', 'b' * 101)},
            'a name of 101 characters, which is too long .* at most 100',
        ),
        ({'cameras': ('a', 'b', 'a')}, 'one camera twice: a, b, a'),
        ({'cameras': ('a', 'b'), 'publish_hri': True}, 'one camera, cameras has 2'),
        ({'frame_interval': 2.0}, r'at most max_gap \(1.0\), got 2.0'),
        ({'lookahead': 2}, 'at most 1 with a model of 3 frames, got 2'),
    ],
    ids=str,
)
def test_contradiction_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    values = {field.name: getattr(DEFAULTS, field.name) for field in fields(NodeParameters)}
    with pytest.raises(ValueError, match=sentence) as caught:
        check_parameters(NodeParameters(**values | change), num_frames=3)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('names', [('front', 'rear'), ('robot1/front', '_left2')])
def test_camera_names_are_parts_of_topics(names: tuple[str, ...]) -> None:
    check_words([RosParameter('cameras', value=list(names))])


def test_live_values_replace_the_old_ones() -> None:
    changes = [RosParameter('lookahead', value=1), RosParameter('use_sim_time', value=True)]
    assert change_live(DEFAULTS, changes, 'active').lookahead == 1


def test_the_others_wait_until_the_node_is_unconfigured() -> None:
    change = [RosParameter('model', value='m')]
    with pytest.raises(ValueError, match=r'model changes only .* is active: deactivate and clean'):
        change_live(DEFAULTS, change, 'active')
    with pytest.raises(ValueError, match=r'model changes only .* is inactive: clean it up'):
        change_live(DEFAULTS, change, 'inactive')


def test_parameters_are_described_and_ranged(make_robot: Maker) -> None:
    robot = make_robot()
    for row in TABLE:
        assert robot.node.describe_parameter(row.name).description == row.meaning


BAD_VALUES = [
    ('score_threshold', 1.5),
    ('score_threshold', float('nan')),
    ('max_people', 0),
    ('lookahead', -1),
    ('max_gap', 0.0),
    ('num_threads', -1),
    ('image_qos', 'best'),
    ('image_transport', 'theora'),
    ('device', 'gpu'),
    ('image_size', [640, 480, 3]),
    ('cameras', ['a', 'a']),
    ('model', 3),
    ('always_infer', 'yes'),
]


@pytest.mark.parametrize('configured', [False, True])
def test_bad_values_are_refused_with_a_sentence(make_robot: Maker, configured: bool) -> None:
    robot = make_robot()
    if configured:
        assert robot.node.trigger_configure() == SUCCESS
    for name, value in BAD_VALUES:
        before = robot.node.get_parameter(name).value
        reasons = robot.set(**{name: value})
        assert len(reasons) == 1, name
        assert name in reasons[0] or 'type' in reasons[0]
        assert '\n' not in reasons[0]
        assert robot.node.get_parameter(name).value == before


def test_what_depends_on_the_model_is_checked_once_it_is_there(make_robot: Maker) -> None:
    robot = make_robot()
    assert robot.node.trigger_configure() == SUCCESS
    assert 'at most 1' in robot.set(lookahead=2)[0]
    assert 'at most max_gap' in robot.set(frame_interval=3.0)[0]
    assert robot.set(max_gap=4.0, frame_interval=3.0) == []


def test_model_and_cameras_change_only_while_unconfigured(
    make_robot: Maker, stand_in: Any
) -> None:
    robot = make_robot().activate()
    fixed = [row.name for row in TABLE if not row.is_live]
    values = {row.name: row.default for row in TABLE}
    for name in fixed:
        assert 'unconfigured, and it is active' in robot.set(**{name: values[name]})[0]
    robot.node.trigger_deactivate()
    assert 'unconfigured, and it is inactive' in robot.set(device='cpu')[0]
    robot.node.trigger_cleanup()
    assert robot.set(device='cpu') == []


def test_a_misspelt_parameter_is_told_and_nothing_else_happens(
    make_robot: Maker, capfd: pytest.CaptureFixture[str]
) -> None:
    robot = make_robot(score_treshold=0.9)
    assert 'there is no parameter score_treshold' in capfd.readouterr().err
    assert robot.node.trigger_configure() == SUCCESS
    assert robot.node.get_parameter('score_threshold').value == 0.3
