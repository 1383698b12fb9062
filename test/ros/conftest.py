"""What the ROS tests share: a model, and a ROS domain of their own."""

import os
import runpy
from pathlib import Path

import pytest

CORE_FIXTURES = Path(__file__).parents[1] / 'core' / 'conftest.py'

# Before anything starts ROS: nobody else's nodes, and nobody beyond this computer.
os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


@pytest.fixture(scope='session')
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stand-in model of the core tests; not to be changed."""
    write_stand_in = runpy.run_path(str(CORE_FIXTURES))['write_stand_in']
    return write_stand_in(tmp_path_factory.mktemp('stand_in'), 3)
