"""
Start the pose node and bring it to active.

ros2 launch pavenet_ros pose.launch.py image:=/camera/image_raw

An argument that is empty leaves the matter to `params_file`; one that is given wins over it.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

CONFIG = Path(get_package_share_directory('pavenet_ros')) / 'config'
PROFILE = CONFIG / 'fastdds_large_images.xml'
EMPTY = 'empty: as in params_file'
OF_NODE = (
    ('image', 'image', 'topic of the camera; the raw one also when image_transport is compressed'),
    ('poses', 'poses', 'topic of the results (pavenet_ros/PersonPoseArray)'),
    ('namespace', '', 'namespace of the node; start it once per camera'),
    ('params_file', str(CONFIG / 'pose.yaml'), 'YAML file with the parameters of the node'),
    ('autostart', 'true', 'bring the node to active; with false a lifecycle manager does'),
    ('log_level', 'info', 'debug, info, warn, error or fatal; NAME:=LEVEL for one logger'),
    (
        'fastdds_profile',
        '',
        'Fast DDS profile for the process of the node: a path, or default for the one that is '
        'shipped, for large images; empty leaves the environment as it is',
    ),
)
# Parameters that can be given here too, with their types.
OF_PARAMETERS = (
    ('model', str, 'name of a shipped model, or path of a bundle folder'),
    ('device', str, 'auto, cpu, cuda or tensorrt'),
    ('tensorrt_cache', str, 'folder that keeps the engines of TensorRT'),
    ('build_only', bool, 'true builds those engines and ends'),
    ('image_transport', str, 'raw, or compressed: images of the image topic with /compressed'),
    ('use_sim_time', bool, 'true with a simulator or a bag that plays /clock'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; with their values, start the node and bring it to active."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, default, meaning in OF_NODE
    ] + [
        DeclareLaunchArgument(name, default_value='', description=f'{meaning}; {EMPTY}')
        for name, _, meaning in OF_PARAMETERS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Start the node as the arguments say; then configure it, and activate it once configured."""
    node = LifecycleNode(
        package='pavenet_ros',
        executable='pose_node',
        name='pose_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[existing_file(context, 'params_file'), given_parameters(context)],
        remappings=[(name, LaunchConfiguration(name)) for name in ('image', 'poses')],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        additional_env=fastdds_environment(context),
        output='screen',
    )
    if context.launch_configurations['build_only'].lower() == 'true':
        return [node]  # which ends by itself: nobody is there to be configured
    is_wanted = IfCondition(LaunchConfiguration('autostart'))
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state='configuring',
            goal_state='inactive',
            entities=[change_state(node, Transition.TRANSITION_ACTIVATE)],
        ),
        condition=is_wanted,
    )
    configure = change_state(node, Transition.TRANSITION_CONFIGURE, condition=is_wanted)
    return [activate, node, configure]


def given_parameters(context: LaunchContext) -> dict[str, ParameterValue]:
    """Return the parameters whose arguments are not empty."""
    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind, _ in OF_PARAMETERS
        if context.launch_configurations[name]
    }


def fastdds_environment(context: LaunchContext) -> dict[str, str]:
    """Return the variable by which Fast DDS finds its profile; empty if there is none to set."""
    wanted = context.launch_configurations['fastdds_profile']
    if not wanted:
        return {}
    profile = str(PROFILE) if wanted == 'default' else existing_file(context, 'fastdds_profile')
    is_old = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')  # Fast DDS 2
    return {f'{"FASTRTPS" if is_old else "FASTDDS"}_DEFAULT_PROFILES_FILE': profile}


def existing_file(context: LaunchContext, argument: str) -> str:
    """Return an argument that names a file; without it the node would start and go on oddly."""
    path = Path(context.launch_configurations[argument]).expanduser().absolute()
    if not path.is_file():
        raise RuntimeError(f'{argument}:={path} is not a file')
    return str(path)


def change_state(
    node: LifecycleNode, transition: int, condition: IfCondition | None = None
) -> EmitEvent:
    """Return the action that asks the node for a transition."""
    event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    return EmitEvent(event=event, condition=condition)
