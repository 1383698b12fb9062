"""One table: the node, the YAML file and the dataclass agree, and bad values are refused."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from pavenet_ros.parameters import (
    TABLE,
    NodeParameters,
    declare_parameters,
    read_parameters,
)

CONFIG = Path(__file__).parents[2] / 'config' / 'pose.yaml'


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('parameters_under_test', context=context)
    declare_parameters(node)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_table_is_the_dataclass() -> None:
    assert [row.name for row in TABLE] == [field.name for field in fields(NodeParameters)]


def test_table_is_the_yaml_file() -> None:
    written = yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']
    assert list(written.items()) == [(row.name, row.default) for row in TABLE]


def test_defaults_are_read(node: Node) -> None:
    parameters = read_parameters(node)
    assert parameters == NodeParameters(**{row.name: row.default for row in TABLE})


def test_every_parameter_is_described(node: Node) -> None:
    for row in TABLE:
        assert node.describe_parameter(row.name).description == row.meaning


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('score_threshold', 1.5),
        ('max_people', 0),
        ('lookahead', -1),
        ('max_gap', 0.0),
        ('num_threads', -1),
        ('model', 3),
    ],
)
def test_bad_value_is_refused(node: Node, name: str, value: object) -> None:
    before = read_parameters(node)
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert result.reason
    assert read_parameters(node) == before


def test_unknown_word_is_one_sentence(node: Node) -> None:
    node.set_parameters([Parameter('image_qos', value='best')])
    with pytest.raises(ValueError, match="one of auto, reliable, best_effort, got 'best'"):
        read_parameters(node)
