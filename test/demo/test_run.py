"""The demo keeps to itself, and says in a sentence what it can't play."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
RUN = REPOSITORY / 'demo' / 'run.py'
OUT = REPOSITORY / 'demo' / 'poses.mp4'


@pytest.mark.parametrize(
    ('distribution', 'alone'),
    [
        ('humble', {'ROS_LOCALHOST_ONLY': '1'}),
        ('jazzy', {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
        ('', {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
    ],
)
def test_its_nodes_meet_no_others(distribution: str, alone: dict[str, str]) -> None:
    robot = {'ROS_DISTRO': distribution, 'ROS_DOMAIN_ID': '0'}
    graph = runpy.run_path(str(RUN))['own_graph'](robot)
    assert 1 <= int(graph.pop('ROS_DOMAIN_ID')) <= 100
    assert graph == alone


@pytest.mark.parametrize(
    ('video', 'message'),
    [
        ('missing.mp4', 'missing.mp4 does not exist; give a video file or a camera'),
        ('test', 'test is a folder; give a video file or a camera'),
        ('demo/poses.mp4', 'demo/poses.mp4 is where the demo writes'),
        ('LICENSE', 'LICENSE cannot be read as a video'),
    ],
)
def test_what_it_can_not_play_is_one_sentence(video: str, message: str) -> None:
    is_new = not OUT.exists()
    OUT.touch()
    done = subprocess.run(
        [sys.executable, RUN, '--video', video],
        cwd=REPOSITORY,
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if is_new:
        OUT.unlink()
    assert done.returncode == 1
    assert done.stderr.startswith(f'make demo: {message}')
    assert done.stderr.count('\n') == 1
