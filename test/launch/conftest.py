"""A ROS domain of its own for the launch tests: nobody else's nodes, only this computer."""

import os
import runpy
from pathlib import Path

import pytest

os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

CORE_FIXTURES = Path(__file__).parents[1] / 'core' / 'conftest.py'


@pytest.fixture(scope='session')
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stand-in model of the core tests; not to be changed."""
    write_stand_in = runpy.run_path(str(CORE_FIXTURES))['write_stand_in']
    return write_stand_in(tmp_path_factory.mktemp('stand_in'), 3)
