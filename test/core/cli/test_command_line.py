import argparse
from pathlib import Path

from pavenet_core.cli.command_line import command_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('inputs', nargs='+', type=Path)
    parser.add_argument('--size', nargs='+', type=int, default=[1])
    parser.add_argument('--no-ids', action='store_true')
    parser.add_argument('--report', type=Path)


def test_the_command_says_what_differs_from_the_defaults_and_no_more() -> None:
    words = ['a b.mp4', 'c.mp4', '--size', '2', '3', '--no-ids']
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = command_line('predict', parser.parse_args(words), add_arguments)
    assert given == "pavenet predict 'a b.mp4' c.mp4 --size 2 3 --no-ids"
    plain = command_line('predict', parser.parse_args(['c.mp4']), add_arguments)
    assert plain == 'pavenet predict c.mp4'
