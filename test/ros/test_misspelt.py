"""Names that are nearly right."""

import pytest

from pavenet_ros.misspelt import misspelt

KNOWN = ('score_threshold', 'max_people', 'max_gap', 'model', 'use_sim_time')


@pytest.mark.parametrize(
    ('given', 'meant'),
    [
        ('score_treshold', 'score_threshold'),
        ('scoreThreshold', 'score_threshold'),
        ('score-threshold', 'score_threshold'),
        ('threshold', 'score_threshold'),
        ('max_peoples', 'max_people'),
        ('Model', 'model'),
    ],
)
def test_a_name_that_is_nearly_right_is_told(given: str, meant: str) -> None:
    [sentence] = misspelt([given, 'max_gap'], KNOWN)
    assert sentence == f'there is no parameter {given}, so it does nothing; is {meant} meant?'


@pytest.mark.parametrize('given', [*KNOWN, 'robot_description', 'qos_overrides./image.depth'])
def test_known_names_and_those_of_other_nodes_are_not(given: str) -> None:
    assert misspelt([given], KNOWN) == []
