"""The node in all its states, with parameters and services, through the real middleware."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool, Trigger

from pavenet_core.runtime import PoseModel
from pavenet_ros import camera_stats, node
from pavenet_ros.camera import Camera
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import PersonPoseArray, SkeletonInfo
from pavenet_ros.parameters import TABLE

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STEP_NS = 40_000_000
Maker = Callable[..., Any]


def state(robot: Any) -> str:
    return str(robot.node._state_machine.current_state[1])


def answer(robot: Any, camera: Any, poses: list[Any], image: Any) -> Any:
    """Publish an image and return the answer to it."""
    number = len(poses)
    camera.publish(image)
    robot.wait_for(lambda: len(poses) > number)
    assert poses[-1].header == image.header
    return poses[-1]


def test_each_transition_does_its_part(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot()
    world = robot.world
    assert state(robot) == 'unconfigured'
    assert world.count_publishers('/poses') == 0

    assert robot.node.trigger_configure() == SUCCESS
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    skeletons = robot.listen(SkeletonInfo, '/pose_node/skeleton', latched)
    robot.wait_for(lambda: skeletons)
    poses = robot.listen(PersonPoseArray, '/poses')
    assert world.count_subscribers('/image') == 0

    for stamp in (1, 2):
        assert robot.node.trigger_activate() == SUCCESS
        answer(robot, robot.camera(), poses, make_image(stamp))
        assert robot.node.trigger_deactivate() == SUCCESS
        assert state(robot) == 'inactive'
        robot.wait_for(lambda: world.count_subscribers('/image') == 0)
        assert 'pose_worker' not in {thread.name for thread in threading.enumerate()}

    assert robot.node.trigger_cleanup() == SUCCESS
    robot.wait_for(lambda: world.count_publishers('/poses') == 0)
    robot.wait_for(lambda: world.count_publishers('/diagnostics') == 0)
    assert robot.node.trigger_shutdown() == SUCCESS
    assert state(robot) == 'finalized'


def test_cleanup_frees_the_model(
    make_robot: Maker, make_image: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []

    def load(settings: Any) -> Any:
        model = load_model(settings)
        models.append(weakref.ref(model))
        return model

    load_model = node.load_model
    monkeypatch.setattr(node, 'load_model', load)
    robot = make_robot().activate()
    answer(robot, robot.camera(), robot.listen(PersonPoseArray, '/poses'), make_image(1))
    robot.node.trigger_deactivate()
    assert models[0]() is not None
    gc.disable()  # nothing is left to the collector's chance
    robot.node.trigger_cleanup()
    gc.enable()
    assert models[0]() is None
    assert robot.node.trigger_configure() == SUCCESS


def test_shutdown_while_active_ends_everything(make_robot: Maker) -> None:
    robot = make_robot().activate()
    assert robot.node.trigger_shutdown() == SUCCESS
    assert state(robot) == 'finalized'
    assert 'pose_worker' not in {thread.name for thread in threading.enumerate()}
    robot.wait_for(lambda: robot.world.count_subscribers('/image') == 0)


@pytest.mark.parametrize(
    'wrong',
    [
        {'model': '/no/such/model'},
        {'device': 'gpu'},
        {'image_qos': 'best'},
        {'cameras': ['a', 'a']},
        {'lookahead': 2},
        {'frame_interval': 5.0},
        {'publish_hri': True, 'cameras': ['a', 'b']},
    ],
    ids=str,
)
def test_configure_fails_with_the_node_alive_and_works_once_corrected(
    make_robot: Maker, stand_in: Any, wrong: dict[str, Any]
) -> None:
    robot = make_robot(**wrong)
    assert robot.node.trigger_configure() == FAILURE
    assert state(robot) == 'unconfigured'
    defaults = {row.name: row.default for row in TABLE} | {'model': str(stand_in)}
    assert robot.set(**{name: defaults[name] for name in wrong}) == []
    assert robot.node.trigger_configure() == SUCCESS


def test_a_model_in_the_home_folder_is_found(
    make_robot: Maker, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(stand_in.parent))
    assert make_robot(model=f'~/{stand_in.name}').node.trigger_configure() == SUCCESS


def test_a_lookahead_beyond_the_model_is_told_before_it_warms_up(
    make_robot: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PoseModel, 'warm_up', lambda *_: 1 / 0)
    assert make_robot(lookahead=2).node.trigger_configure() == FAILURE


def test_hri_without_its_package_is_one_sentence(make_robot: Maker) -> None:
    try:
        import hri_msgs  # noqa: F401
    except ImportError:
        robot = make_robot(publish_hri=True)
        assert robot.node.trigger_configure() == FAILURE
        assert robot.set(publish_hri=False) == []
        assert robot.node.trigger_configure() == SUCCESS
    else:
        pytest.skip('hri_msgs is installed')


def test_an_unforeseen_error_in_configure_leads_back_to_unconfigured(
    make_robot: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_camera(node: Any, name: str, *others: Any) -> Any:
        return Camera(node, name, *others) if name == 'good' else 1 / 0

    robot = make_robot(cameras=['good', 'bad'])
    with monkeypatch.context() as patch:
        patch.setattr(node, 'Camera', make_camera)
        assert robot.node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert state(robot) == 'unconfigured'
    assert '/good/poses' not in {each.topic_name for each in robot.node.publishers}
    assert robot.node.trigger_configure() == SUCCESS


def test_live_parameters_hold_from_the_next_image_on(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    assert len(answer(robot, camera, poses, make_image(1)).poses) == 3
    assert robot.set(score_threshold=0.8) == []
    assert len(answer(robot, camera, poses, make_image(2)).poses) == 1
    assert robot.set(score_threshold=0.0, max_people=2) == []
    assert len(answer(robot, camera, poses, make_image(3)).poses) == 2
    assert robot.set(lookahead=1) == []
    camera.publish(make_image(4))
    answered = len(poses)
    robot.spin(0.3)
    assert len(poses) == answered
    camera.publish(make_image(5))
    robot.wait_for(lambda: len(poses) == answered + 1)
    assert stamp_ns(poses[-1].header) == 4
    assert robot.set(lookahead=0) == []
    camera.publish(make_image(6))
    robot.wait_for(lambda: len(poses) == answered + 3)
    assert [stamp_ns(msg.header) for msg in poses[-2:]] == [5, 6]


def test_the_last_answers_come_when_the_camera_falls_silent(
    make_robot: Maker, make_image: Maker
) -> None:
    robot = make_robot(lookahead=1, max_gap=0.3).activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    robot.camera().publish(make_image(1))
    robot.wait_for(lambda: len(poses) == 1)


def test_the_last_answers_come_at_deactivation(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot(lookahead=1, max_gap=60.0).activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    robot.camera().publish(make_image(1))
    robot.wait_for(lambda: robot.counts().received == 1)
    robot.node.trigger_deactivate()
    robot.wait_for(lambda: len(poses) == 1)


def test_it_infers_only_while_somebody_listens(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot().activate()
    camera = robot.camera()
    camera.publish(make_image(1))
    robot.wait_for(lambda: robot.counts().drops.get(camera_stats.UNWANTED) == 1)
    assert robot.set(always_infer=True) == []
    camera.publish(make_image(2))
    robot.wait_for(lambda: robot.counts().answered == 1)
    assert robot.set(always_infer=False) == []
    poses = robot.listen(PersonPoseArray, '/poses')
    answer(robot, camera, poses, make_image(3))


def test_enable_pauses_and_resumes(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    assert robot.call(SetBool, '/pose_node/enable', data=False).success
    camera.publish(make_image(1))
    robot.wait_for(lambda: robot.counts().drops.get(camera_stats.DISABLED) == 1)
    assert robot.call(SetBool, '/pose_node/enable', data=True).success
    answer(robot, camera, poses, make_image(2))
    assert [stamp_ns(msg.header) for msg in poses] == [2]


def test_what_comes_after_a_pause_is_not_seen_with_what_was_before(
    make_robot: Maker, make_image: Maker
) -> None:
    def first_of_window(msg: Any) -> int:
        # The stand-in puts keypoint 0 at the share of the brightness of the window's first image.
        return round(msg.poses[0].keypoints[0].x / 60 * 255)

    robot = make_robot().activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    answer(robot, camera, poses, make_image(1, brightness=50))
    assert first_of_window(answer(robot, camera, poses, make_image(2, brightness=60))) == 50
    robot.call(SetBool, '/pose_node/enable', data=False)
    camera.publish(make_image(3, brightness=70))
    robot.wait_for(lambda: robot.counts().received == 3)
    robot.call(SetBool, '/pose_node/enable', data=True)
    assert first_of_window(answer(robot, camera, poses, make_image(4, brightness=80))) == 80


def test_disabled_survives_reconfiguration(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot()
    response = robot.call(SetBool, '/pose_node/enable', data=False)
    assert 'not active' in response.message
    robot.activate()
    robot.listen(PersonPoseArray, '/poses')
    robot.camera().publish(make_image(1))
    robot.wait_for(lambda: robot.counts().drops.get(camera_stats.DISABLED) == 1)


def test_reset_starts_a_new_video(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot(lookahead=1, max_gap=60.0)
    assert not robot.call(Trigger, '/pose_node/reset').success
    robot.activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    camera = robot.camera()
    camera.publish(make_image(1))
    pipeline = robot.node._cameras[0].pipeline
    robot.wait_for(lambda: pipeline.seconds_until_due() is not None)
    camera.publish(make_image(2))
    robot.wait_for(lambda: len(poses) == 1)
    assert robot.call(Trigger, '/pose_node/reset').success
    camera.publish(make_image(3))
    robot.wait_for(lambda: robot.counts().drops.get(camera_stats.RESET) == 1)
    camera.publish(make_image(4))
    robot.wait_for(lambda: len(poses) == 2)
    assert [stamp_ns(msg.header) for msg in poses] == [1, 3]


def test_simulated_time_may_stand_still(make_robot: Maker, make_image: Maker) -> None:
    robot = make_robot(use_sim_time=True).activate()
    poses = robot.listen(PersonPoseArray, '/poses')
    diagnostics = robot.listen(DiagnosticArray, '/diagnostics')
    camera = robot.camera()
    for stamp in (10 * 10**9, 10 * 10**9 + STEP_NS, 1, 1 + STEP_NS):  # and start over
        answer(robot, camera, poses, make_image(stamp))
    robot.wait_for(lambda: diagnostics)
    assert robot.counts().new_videos == {camera_stats.TIME_WENT_BACK: 1}
