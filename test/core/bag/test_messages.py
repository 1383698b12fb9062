from pathlib import Path

from pavenet_core.bag.messages import DEFINITIONS, POSES, message_types

MSG = Path(__file__).parents[3] / 'msg'


def test_the_definitions_are_those_of_the_ros_package() -> None:
    copies = {file.name: file.read_bytes() for file in DEFINITIONS.iterdir()}
    assert copies == {name: (MSG / name).read_bytes() for name in copies}, 'cp msg/... there'
    assert len(copies) == 4


def test_the_poses_message_is_known_with_all_it_is_made_of() -> None:
    definition, _ = message_types().generate_msgdef(POSES, ros_version=2)
    for name in ('PersonPose', 'BoundingBox', 'Keypoint'):
        assert f'MSG: pavenet_ros/{name}' in definition
