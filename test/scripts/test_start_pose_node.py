import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'start_pose_node.py'


@pytest.mark.parametrize('prefix', ['', '/nowhere'])
def test_a_shell_that_knows_no_node_is_told_how_to_get_it(prefix: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, 'AMENT_PREFIX_PATH': prefix, '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('start_pose_node: this shell knows no pavenet_ros; build it')
    assert done.stderr.count('\n') == 1
