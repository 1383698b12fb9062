"""
Show the whole road on a video: player -> /image -> pose_node -> /poses -> recorder -> files.

Player, node and recorder are processes of their own that know each other only through ROS topics;
the node is started with `ros2 launch pavenet_ros pose.launch.py`, as on a robot, or where ROS 2
comes from PyPI, which has no `ros2`, by a script that does the same. They have a ROS graph of
their own, so that they neither answer a robot nearby nor steer another pose_node.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import cv2

from pavenet_core.video import open_sources

HERE = Path(__file__).resolve().parent
CLIP = HERE / 'clip.mp4'
VIDEO_OUT, JSON_OUT = HERE / 'poses.mp4', HERE / 'poses.json'
STOP_S = 20.0


def main() -> None:
    """Run the demo; a user's error becomes one sentence and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--video', type=Path, default=CLIP, help='a file, or /dev/video0')
    parser.add_argument('--seconds', type=float, default=20.0, help='to record of a camera (20)')
    args = parser.parse_args()
    # FFmpeg and OpenCV would add lines of their own to the one sentence on an unreadable file.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
    try:
        _show(args.video, args.seconds)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f'make demo: {error}')
    except KeyboardInterrupt:
        sys.exit('make demo: interrupted')


def _show(video: Path, seconds: float) -> None:
    fps = _frames_per_second(video)
    os.environ |= own_graph(os.environ)
    domain = os.environ['ROS_DOMAIN_ID']
    print(f'[demo] {video} -> /image -> pose_node -> /poses, ROS_DOMAIN_ID={domain}', flush=True)
    with ExitStack() as stack:
        node = _start(stack, *_launch_command(), end=signal.SIGINT)
        recorder = _start(
            stack,
            *(sys.executable, str(HERE / 'record_poses.py'), '--fps', str(fps)),
            *('--video', str(VIDEO_OUT), '--json', str(JSON_OUT)),
        )
        player = _start(
            stack,
            *(sys.executable, str(HERE / 'play_video.py'), str(video)),
            *('--seconds', str(seconds)),
        )
        _wait_for_player(player, node, recorder)
        _stop(node)
        if _stop(recorder) != 0:
            raise RuntimeError('the recorder failed, see above')
    print(f'video with skeletons:   {VIDEO_OUT}\nkeypoints:              {JSON_OUT}')
    print('make demo: done')


def own_graph(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps ROS nodes away from all others: a domain, and this computer alone."""
    is_old = environment.get('ROS_DISTRO') == 'humble'
    alone = (
        {'ROS_LOCALHOST_ONLY': '1'} if is_old else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    )
    return {'ROS_DOMAIN_ID': str(os.getpid() % 100 + 1), **alone}


def _launch_command() -> tuple[str, ...]:
    if shutil.which('ros2'):
        return 'ros2', 'launch', 'pavenet_ros', 'pose.launch.py'
    return sys.executable, str(HERE.parent / 'scripts' / 'start_pose_node.py')


def _frames_per_second(video: Path) -> float:
    if not video.exists() or video.is_dir():
        wrong = 'is a folder' if video.is_dir() else 'does not exist'
        raise ValueError(f'{video} {wrong}; give a video file or a camera such as /dev/video0')
    if video.resolve() == VIDEO_OUT:
        raise ValueError(f'{video} is where the demo writes; give it another name')
    if not video.is_char_device():
        return open_sources(video)[0].fps or 1.0
    capture = cv2.VideoCapture(str(video))
    if not capture.read()[0]:
        raise ValueError(f'camera {video} gives no pictures; is it free, and a camera?')
    return float(capture.get(cv2.CAP_PROP_FPS)) or 30.0


def _start(
    stack: ExitStack, *command: str, end: signal.Signals = signal.SIGTERM
) -> 'subprocess.Popen[bytes]':
    """Start a process, to be stopped by `end`: SIGTERM is silent also while Python imports."""
    process = subprocess.Popen(command, start_new_session=True)
    stack.callback(_stop, process, end)
    return process


def _wait_for_player(
    player: 'subprocess.Popen[bytes]', *others: 'subprocess.Popen[bytes]'
) -> None:
    while player.poll() is None:
        for process in others:
            if process.poll() is not None:
                raise RuntimeError(f'{" ".join(process.args[:2])} ended too early, see above')
        time.sleep(0.2)
    if player.returncode != 0:
        raise RuntimeError('the video could not be played to its end, see above')


def _stop(process: 'subprocess.Popen[bytes]', end: signal.Signals = signal.SIGINT) -> int:
    """Ask a process to finish, by default as Ctrl-C would, and wait for it."""
    if process.poll() is None:
        process.send_signal(end)
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


if __name__ == '__main__':
    main()
