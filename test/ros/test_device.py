"""The device asked for and the device in use: parameters, log, diagnostics, built engines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn

from pavenet_ros.node import build_engines

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))
Maker = Callable[..., Any]


def model_status(robot: Any) -> Any:
    reports = robot.listen(DiagnosticArray, '/diagnostics')
    robot.wait_for(lambda: reports)
    return reports[-1].status[0]


def logged(capfd: pytest.CaptureFixture[str]) -> str:
    printed = capfd.readouterr()
    return printed.out + printed.err


def test_the_parameters_reach_every_graph_and_the_device_is_told(
    make_robot: Maker,
    pretended_gpus: list[dict[str, Any]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    engines = {'tensorrt_cache': str(tmp_path), 'tensorrt_fp16': True}
    robot = make_robot(device='tensorrt', **engines)
    assert robot.node.trigger_configure() == SUCCESS
    assert len(pretended_gpus) == 3
    for opened in pretended_gpus:
        options = opened['provider_options'][0]
        assert Path(options['trt_engine_cache_path']).parent == tmp_path
        assert options['trt_fp16_enable'] == 'True'
    assert f'on {TENSORRT}, {CUDA}, {CPU}' in logged(capfd)
    status = model_status(robot)
    assert status.level == DiagnosticStatus.OK
    assert {v.key: v.value for v in status.values}['execution provider'].startswith(TENSORRT)


def test_without_a_folder_no_engines_are_kept(
    make_robot: Maker, pretended_gpus: list[dict[str, Any]]
) -> None:
    robot = make_robot(device='tensorrt', tensorrt_cache='')
    assert robot.node.trigger_configure() == SUCCESS
    assert pretended_gpus[0]['provider_options'][0] == {'trt_fp16_enable': 'False'}


def test_auto_that_falls_back_warns_in_the_log_and_on_diagnostics(
    make_robot: Maker, broken_gpus: Callable[[bool], None], capfd: pytest.CaptureFixture[str]
) -> None:
    broken_gpus(True)
    robot = make_robot(device='auto')
    assert robot.node.trigger_configure() == SUCCESS
    sentence = f'this onnxruntime offers {TENSORRT} and {CUDA}, but could not start it'
    assert sentence in logged(capfd)
    status = model_status(robot)
    assert status.level == DiagnosticStatus.WARN
    assert status.message.startswith(f'inactive; {sentence}')


def test_a_named_device_that_does_not_start_is_refused(
    make_robot: Maker, broken_gpus: Callable[[bool], None], capfd: pytest.CaptureFixture[str]
) -> None:
    broken_gpus(False)
    robot = make_robot(device='cuda')
    assert robot.node.trigger_configure() == FAILURE
    assert "cannot configure: device 'cuda' could not be started (" in logged(capfd)
    assert robot.set(device='auto') == []
    assert robot.node.trigger_configure() == SUCCESS


def test_engines_are_built_without_configuring(
    make_robot: Maker,
    pretended_gpus: list[dict[str, Any]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node = make_robot(device='tensorrt', tensorrt_cache=str(tmp_path), image_size=[64, 36]).node
    assert build_engines(node) == ''
    assert len(list(tmp_path.iterdir())) == 3
    assert f'the engines are in {tmp_path}' in logged(capfd)


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        ({'device': 'cpu'}, f'no engines to build: the model runs on {CPU}; choose device'),
        ({'device': 'tensorrt', 'tensorrt_cache': ''}, 'no folder to build engines into'),
        ({'image_size': [64]}, 'image_size must be a width and a height'),
    ],
    ids=str,
)
def test_engines_that_can_not_be_built_are_one_sentence(
    make_robot: Maker,
    pretended_gpus: list[dict[str, Any]],
    wrong: dict[str, Any],
    sentence: str,
) -> None:
    reason = build_engines(make_robot(**wrong).node)
    assert reason.startswith('cannot build engines: ')
    assert sentence in reason
