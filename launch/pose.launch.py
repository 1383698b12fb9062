"""Start the pose node and bring it to active."""

from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

DEFAULT_PARAMETERS = PathJoinSubstitution([FindPackageShare('pavenet_ros'), 'config', 'pose.yaml'])
ARGUMENTS = (
    ('image', 'image', 'topic of the camera (sensor_msgs/Image)'),
    ('poses', 'poses', 'topic of the results (pavenet_ros/PersonPoseArray)'),
    ('namespace', '', 'namespace of the node, one per camera'),
    ('params_file', DEFAULT_PARAMETERS, 'YAML file with the parameters of the node'),
    ('use_sim_time', 'false', 'true with a simulator or a bag that plays /clock'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, start the node, configure it, and activate it once configured."""
    node = LifecycleNode(
        package='pavenet_ros',
        executable='pose_node',
        name='pose_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            LaunchConfiguration('params_file'),
            {'use_sim_time': LaunchConfiguration('use_sim_time')},
        ],
        remappings=[
            ('image', LaunchConfiguration('image')),
            ('poses', LaunchConfiguration('poses')),
        ],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=meaning)
                for name, default, meaning in ARGUMENTS
            ),
            RegisterEventHandler(
                OnStateTransition(
                    target_lifecycle_node=node,
                    start_state='configuring',
                    goal_state='inactive',
                    entities=[_change_state(node, Transition.TRANSITION_ACTIVATE)],
                )
            ),
            node,
            _change_state(node, Transition.TRANSITION_CONFIGURE),
        ]
    )


def _change_state(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    )
