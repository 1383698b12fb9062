"""
Run the launch file as `ros2 launch` does, which not every ROS 2 has.

run_launch.py [NAME:=VALUE]...
"""

import sys
from pathlib import Path

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchDescription, LaunchService

FILE = Path(__file__).parents[2] / 'launch' / 'pose.launch.py'


def main() -> int:
    arguments = [tuple(argument.split(':=', 1)) for argument in sys.argv[1:]]
    source = PythonLaunchDescriptionSource(str(FILE))
    service = LaunchService()
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
    )
    return int(service.run())


sys.exit(main())
