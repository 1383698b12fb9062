"""How the node ends: told to while it is busy, or because something breaks."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.lifecycle import TransitionCallbackReturn

from pavenet_ros import node

Maker = Callable[..., Any]


@pytest.mark.parametrize('transition', ['deactivate', 'shutdown'])
def test_what_breaks_in_a_transition_is_in_the_log(
    make_robot: Maker,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    transition: str,
) -> None:
    robot = make_robot().activate()
    with monkeypatch.context() as patch:
        patch.setattr(robot.node, '_stop', lambda: 1 / 0)
        getattr(robot.node, f'trigger_{transition}')()
    printed = capfd.readouterr().err
    assert f'on_{transition} failed' in printed
    assert 'on_error failed' in printed
    assert 'ZeroDivisionError' in printed


def test_being_ended_in_configure_is_no_failure_to_tell(
    make_robot: Maker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def load(settings: Any) -> Any:
        robot.context.try_shutdown()  # as SIGTERM does
        return load_model(settings)

    robot, load_model = make_robot(), node.load_model
    monkeypatch.setattr(node, 'load_model', load)
    assert robot.node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert 'Traceback' not in capfd.readouterr().err


def test_a_callback_that_runs_into_the_end_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def spin(_: Any, *, is_ended: bool) -> None:
        if is_ended:
            rclpy.try_shutdown()  # as SIGTERM does
        raise RuntimeError('in a callback')

    monkeypatch.setattr(sys, 'argv', ['pose_node'])
    monkeypatch.setattr(rclpy, 'spin', partial(spin, is_ended=True))
    node.main()
    monkeypatch.setattr(rclpy, 'spin', partial(spin, is_ended=False))
    with pytest.raises(RuntimeError, match='in a callback'):
        node.main()


def test_built_engines_are_exit_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['pose_node', '--ros-args', '-p', 'build_only:=true'])
    monkeypatch.setattr(node, 'build_engines', lambda _: '')
    node.main()
    monkeypatch.setattr(node, 'build_engines', lambda _: 'cannot build engines: no')
    with pytest.raises(SystemExit, match='pose_node: cannot build engines: no'):
        node.main()


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (['--params-file', 'nowhere.yaml'], 'nowhere.yaml'),
        (['-r', 'image'], "remap rule: '-r image'"),
        (['--nonsense'], '--nonsense'),
    ],
)
def test_arguments_that_ros_can_not_read_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.setattr(sys, 'argv', ['pose_node', '--ros-args', *arguments])
    with pytest.raises(SystemExit) as end:
        node.main()
    assert str(end.value).startswith('pose_node: it can not start with these arguments: ')
    assert reason in str(end.value)
    assert '/src/' not in str(end.value)
    rclpy.try_shutdown()
