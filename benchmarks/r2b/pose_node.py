"""
The pose node under NVIDIA's ros2_benchmark: throughput, latency and load, counted as for theirs.

    source images -> resized to 640x480 -> played back -> pose_node -> watched on `poses`

Untested: it has been read and loaded, never run. Needs the packages ros2_benchmark, image_proc and
pavenet_ros, and the recording r2b_hallway of NVIDIA's r2b dataset 2023 (people in a corridor):

    launch_test benchmarks/r2b/pose_node.py

benchmark.yaml beside it has the settings of the benchmark, pose_node.yaml those of the node, and
PAVENET_DEVICE in the environment names the device. Build TensorRT's engines before, with
build_only:=true: the node has 20 seconds to start.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import ComposableNodeContainer
from launch_ros.descriptions import ComposableNode
from ros2_benchmark import ImageResolution, ROS2BenchmarkConfig, ROS2BenchmarkTest

from launch import Action, LaunchDescription

HERE = Path(__file__).parent
RESOLUTION = ImageResolution.VGA
START_S = 20.0


def launch_setup(container_prefix: object, container_sigterm_timeout: object) -> list[Action]:
    """Return the node under test, and the container of the nodes that feed and watch it."""
    tools = ComposableNodeContainer(
        name='container',
        namespace=TestPoseNode.generate_namespace(),
        package='rclcpp_components',
        executable='component_container_mt',
        prefix=container_prefix,
        sigterm_timeout=container_sigterm_timeout,
        composable_node_descriptions=[data_loader(), resizer(), playback(), monitor()],
        output='screen',
    )
    return [tools, pose_node()]


def pose_node() -> IncludeLaunchDescription:
    """Return the launch file of the node: it is of Python, so it has a process of its own."""
    launch = Path(get_package_share_directory('pavenet_ros')) / 'launch' / 'pose.launch.py'
    arguments = {
        'namespace': TestPoseNode.generate_namespace(),
        'image': 'image',
        'poses': 'poses',
        'device': os.environ.get('PAVENET_DEVICE', 'auto'),
        'params_file': str(HERE / 'pose_node.yaml'),
    }
    source = PythonLaunchDescriptionSource(str(launch))
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def data_loader() -> ComposableNode:
    """Return what plays the recording, once."""
    return component(
        'DataLoaderNode',
        'ros2_benchmark',
        {
            'hawk_0_left_rgb_image': 'data_loader/image',
            'hawk_0_left_rgb_camera_info': 'data_loader/camera_info',
        },
    )


def resizer() -> ComposableNode:
    """Return what resizes its images, beforehand, to the VGA of other benchmarks."""
    return component(
        'ResizeNode',
        'image_proc',
        {
            'image/image_raw': 'data_loader/image',
            'image/camera_info': 'data_loader/camera_info',
            'resize/image_raw': 'buffer/image',
            'resize/camera_info': 'buffer/camera_info',
        },
        width=RESOLUTION['width'],
        height=RESOLUTION['height'],
        use_scale=False,
    )


def playback() -> ComposableNode:
    """Return what keeps the images in memory and sends them at the rate that is being tried."""
    return component(
        'PlaybackNode',
        'ros2_benchmark',
        {'buffer/input0': 'buffer/image', 'input0': 'image'},
        data_formats=['sensor_msgs/msg/Image'],
    )


def monitor() -> ComposableNode:
    """Return what notes when each answer comes; it is also who listens, so that the node works."""
    return component(
        'MonitorNode',
        'ros2_benchmark',
        {'output': 'poses'},
        monitor_data_format='pavenet_ros/msg/PersonPoseArray',
    )


def component(
    name: str, package: str, remappings: dict[str, str], **parameters: object
) -> ComposableNode:
    """Return a node for the container."""
    return ComposableNode(
        name=name,
        namespace=TestPoseNode.generate_namespace(),
        package=package,
        plugin=f'{package}::{name}',
        parameters=[parameters],
        remappings=list(remappings.items()),
    )


def generate_test_description() -> LaunchDescription:
    """Return what `launch_test` starts before the test."""
    return TestPoseNode.generate_test_description_with_nsys(launch_setup, START_S)


class TestPoseNode(ROS2BenchmarkTest):
    """Find the highest rate that the node keeps up with, then its latency at fixed rates."""

    config = ROS2BenchmarkConfig(
        config_file_path=str(HERE / 'benchmark.yaml'),
        custom_report_info={'data_resolution': RESOLUTION},
    )

    def test_benchmark(self) -> None:
        """Run it all and print the report."""
        self.run_benchmark()
