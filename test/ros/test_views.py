"""The layouts for RViz and Foxglove in config/ show topics that the node has."""

import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
yaml = pytest.importorskip('yaml', reason='needs PyYAML')

from ament_index_python.packages import get_package_share_directory
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

REPOSITORY = Path(__file__).parents[2]
RVIZ, FOXGLOVE = 'pose.rviz', 'foxglove_layout.json'
KINDS = {
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
}
# Names as rviz has them (plugins_description.xml, panel_factory.cpp, qos_profile_property.cpp)
# and types of panels in Lichtblick, the open Foxglove Studio; an unknown one is left out by both.
RVIZ_CLASSES = {
    'Panels': {'rviz_common/' + name for name in ('Displays', 'Views', 'Time')},
    'Displays': {*KINDS, 'rviz_default_plugins/Axes'},
    'Tools': {'rviz_default_plugins/' + name for name in ('MoveCamera', 'FocusCamera', 'Measure')},
    'Views': {'rviz_default_plugins/Orbit'},
}
RELIABILITY = {
    'Reliable': ReliabilityPolicy.RELIABLE,
    'Best Effort': ReliabilityPolicy.BEST_EFFORT,
}
DURABILITY = {
    'Volatile': DurabilityPolicy.VOLATILE,
    'Transient Local': DurabilityPolicy.TRANSIENT_LOCAL,
}
PANELS = {'Tab', 'Image', '3D', 'Plot', 'DiagnosticSummary', 'RawMessages'}
# Not of every node: it needs foxglove_msgs.
ANNOTATIONS = '/pose_node/annotations'


def read(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / 'config' / name).read_text())  # JSON is YAML


@pytest.fixture
def topics(make_robot: Callable[..., Any]) -> dict[str, str]:
    """Give the types of the topics that the node publishes or reads."""
    node = make_robot().activate().node
    own = [each.topic_name for each in (*node.publishers, *node.subscriptions)]
    return {name: kinds[0] for name, kinds in node.get_topic_names_and_types() if name in own}


def rviz_displays() -> list[dict[str, Any]]:
    displays: list[dict[str, Any]] = read(RVIZ)['Visualization Manager']['Displays']
    return [display for display in displays if 'Topic' in display]


def subscription(topic: dict[str, Any]) -> QoSProfile:
    """Return what RViz asks for; of a name that it doesn't know it would take its own default."""
    assert topic['History Policy'] == 'Keep Last'
    return QoSProfile(
        depth=topic['Depth'],
        reliability=RELIABILITY[topic['Reliability Policy']],
        durability=DURABILITY[topic['Durability Policy']],
    )


def strings(value: Any) -> Iterator[str]:
    """Yield every text in nested lists and tables, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from strings(below)
    elif isinstance(value, list):
        for below in value:
            yield from strings(below)


def test_rviz_shows_topics_of_the_node_as_what_they_are(topics: dict[str, str]) -> None:
    displays = rviz_displays()
    assert {display['Class'] for display in displays} == set(KINDS)
    for display in displays:
        assert topics[display['Topic']['Value']] == KINDS[display['Class']]
        assert display['Enabled'] and display['Value']


def test_rviz_knows_every_class_in_its_place() -> None:
    layout = read(RVIZ)
    manager = layout['Visualization Manager']
    places = {
        'Panels': layout['Panels'],
        'Displays': manager['Displays'],
        'Tools': manager['Tools'],
        'Views': [manager['Views']['Current']],
    }
    for place, parts in places.items():
        assert {part['Class'] for part in parts} == RVIZ_CLASSES[place]


def test_rviz_gets_what_it_asks_for(make_robot: Callable[..., Any]) -> None:
    node = make_robot().activate().node
    for display in rviz_displays():
        topic = display['Topic']
        [publisher] = [each for each in node.publishers if each.topic_name == topic['Value']]
        compatible, reason = qos_check_compatible(publisher.qos_profile, subscription(topic))
        assert compatible != QoSCompatibility.ERROR, reason


def test_foxglove_shows_topics_and_fields_of_the_node(topics: dict[str, str]) -> None:
    paths = [text for text in strings(read(FOXGLOVE)['configById']) if text.startswith('/')]
    shown = {re.split(r'[.\[]', path)[0] for path in paths}
    assert shown - {ANNOTATIONS} <= set(topics)
    assert shown >= {'/pose_node/image_annotated', '/pose_node/markers', '/poses', '/diagnostics'}
    assert '`~/annotations`' in (REPOSITORY / 'docs' / 'ros_api.md').read_text()
    for path in paths:
        topic, _, field = path.partition('.')
        if field:
            package, _, kind = topics[topic].split('/')
            message = getattr(import_module(f'{package}.msg'), kind)
            assert re.split(r'[.\[]', field)[0] in message.get_fields_and_field_types()


def test_every_panel_of_the_layout_is_placed_once() -> None:
    data = json.loads((REPOSITORY / 'config' / FOXGLOVE).read_text())

    def panels(place: Any) -> list[str]:
        if isinstance(place, str):
            inner = data['configById'][place].get('tabs', [])
            return [place, *(name for tab in inner for name in panels(tab['layout']))]
        assert place['direction'] in ('row', 'column')
        return panels(place['first']) + panels(place['second'])

    assert sorted(panels(data['layout'])) == sorted(data['configById'])
    assert {name.partition('!')[0] for name in data['configById']} == PANELS


@pytest.mark.parametrize('name', [RVIZ, FOXGLOVE])
def test_the_layouts_are_installed(name: str) -> None:
    installed = Path(get_package_share_directory('pavenet_ros')) / 'config' / name
    assert installed.read_text() == (REPOSITORY / 'config' / name).read_text()
