"""
Start the pose node and bring it to active, as launch/pose.launch.py does.

For the ROS 2 that comes from PyPI: it has no `ros2 launch`. What is given goes to the node:

    python scripts/start_pose_node.py --params-file config/pose.yaml -r image:=/camera/image_raw
    python scripts/start_pose_node.py -r __ns:=/front -p lookahead:=1
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

PACKAGE = 'pavenet_ros'
TIMEOUT_S = 60.0


def main() -> int:
    """Run the node until it or this script is stopped."""
    if {'-h', '--help'} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 0
    try:
        node = Path(get_package_prefix(PACKAGE)) / 'lib' / PACKAGE / 'pose_node'
        parameters = Path(get_package_share_directory(PACKAGE)) / 'config' / 'pose.yaml'
    except (LookupError, OSError):  # not built; or no prefix at all is known
        sys.exit(
            f'start_pose_node: this shell knows no {PACKAGE}; build it with scripts/setup demo, '
            'then: . scripts/env'
        )
    # A later file wins over an earlier one, so what is given comes after the defaults.
    arguments = ['--ros-args', '--params-file', str(parameters), *sys.argv[1:]]
    process = subprocess.Popen([sys.executable, str(node), *arguments])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        with rclpy.init(args=[]):
            driver = rclpy.create_node('start_pose_node')
            name = node_name(sys.argv[1:])
            changer = driver.create_client(ChangeState, f'{name}/change_state')
            wait_for_node(driver, name, process)
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                change_state(driver, changer, transition)
        return process.wait()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        stop(process)


def node_name(arguments: list[str]) -> str:
    """Return the full name that the remappings in these arguments give the node."""
    rules = dict(argument.split(':=', 1) for argument in arguments if ':=' in argument)
    namespace = rules.get('__ns', '/').rstrip('/')
    return f'{namespace}/{rules.get("__node", rules.get("__name", "pose_node"))}'


def stop(process: 'subprocess.Popen[bytes]') -> None:
    """End the node; Ctrl-C in a terminal has reached it already, a signal to this script not."""
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()


def wait_for_node(driver: Node, name: str, process: 'subprocess.Popen[bytes]') -> None:
    """
    Ask for the state until an answer comes; leave with a sentence if none does.

    The first answer of a node that has just started may get lost, as it is sent before the way
    back is known: so this harmless request goes before those that change something.
    """
    client = driver.create_client(GetState, f'{name}/get_state')
    end = time.monotonic() + TIMEOUT_S
    while True:
        if process.poll() is not None or time.monotonic() > end:
            sys.exit('start_pose_node: the node does not answer, see above')
        if client.wait_for_service(0.2):
            future = client.call_async(GetState.Request())
            rclpy.spin_until_future_complete(driver, future, timeout_sec=2.0)
            if future.done():
                return


def change_state(driver: Node, client: Client, transition: int) -> None:
    """Ask for one transition; leave with a sentence if the node refuses."""
    request = ChangeState.Request(transition=Transition(id=transition))
    future = client.call_async(request)
    rclpy.spin_until_future_complete(driver, future, timeout_sec=TIMEOUT_S)
    if not future.done() or not future.result().success:
        sys.exit('start_pose_node: the node could not be made ready, see above')


if __name__ == '__main__':
    sys.exit(main())
