"""
Start the pose node and bring it to active, as launch/pose.launch.py does.

For the ROS 2 that comes from PyPI: it has no `ros2 launch`. What is given goes to the node:

    python scripts/start_pose_node.py --params-file config/pose.yaml -r image:=/camera/image_raw
"""

import subprocess
import sys
import time
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

PACKAGE = 'pavenet_ros'
TIMEOUT_S = 60.0


def main() -> int:
    """Run the node until it or this script is stopped."""
    node = Path(get_package_prefix(PACKAGE)) / 'lib' / PACKAGE / 'pose_node'
    parameters = Path(get_package_share_directory(PACKAGE)) / 'config' / 'pose.yaml'
    # A later file wins over an earlier one, so what is given comes after the defaults.
    arguments = ['--ros-args', '--params-file', str(parameters), *sys.argv[1:]]
    process = subprocess.Popen([sys.executable, str(node), *arguments])
    try:
        with rclpy.init():
            driver = rclpy.create_node('start_pose_node')
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                change_state(driver, transition, process)
        return process.wait()
    except (KeyboardInterrupt, ExternalShutdownException):
        return process.wait()
    finally:
        process.terminate()


def change_state(driver: Node, transition: int, process: 'subprocess.Popen[bytes]') -> None:
    """Ask for one transition; leave with a sentence if the node can't be reached or refuses."""
    client = driver.create_client(ChangeState, '/pose_node/change_state')
    end = time.monotonic() + TIMEOUT_S
    while not client.wait_for_service(0.2):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit('start_pose_node: the node does not answer, see above')
    request = ChangeState.Request(transition=Transition(id=transition))
    future = client.call_async(request)
    rclpy.spin_until_future_complete(driver, future, timeout_sec=TIMEOUT_S)
    if not future.done() or not future.result().success:
        sys.exit('start_pose_node: the node could not be made ready, see above')


if __name__ == '__main__':
    sys.exit(main())
