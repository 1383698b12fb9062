"""
Measure what a frame takes on this machine, by stage, number of people and picture size.

Without --video the pictures are synthetic. Either way exactly as many people are decoded as asked
for, whatever is to be seen.
"""

import argparse
import json
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavenet_core.cli.command_line import command_line
from pavenet_core.cli.device import add_device_arguments, open_model
from pavenet_core.cli.output_file import check_writable
from pavenet_core.machine import Machine

if TYPE_CHECKING:
    from pavenet_core.benchmark import Case
    from pavenet_core.runtime import PoseModel

SIZE = (640, 480)
SHARES = ('p50', 'p95', 'p99')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet benchmark` takes."""
    parser.epilog = (
        'examples:\n  pavenet benchmark --people 1 5 20 --threads 1 --json times.json\n'
        '  pavenet benchmark --size 640x480 1280x720 --device cuda --video walk.mp4'
    )
    parser.add_argument(
        '--model', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument(
        '--people', type=int, nargs='+', default=[1, 5, 10, 20], metavar='N', help='(1 5 10 20)'
    )
    parser.add_argument(
        '--size',
        type=_size,
        nargs='+',
        default=[],
        metavar='WxH',
        help="width and height of the pictures (640x480, or the video's own)",
    )
    parser.add_argument(
        '--video', type=Path, metavar='FILE', help='real frames: a video, a picture or a folder'
    )
    parser.add_argument('--rounds', type=int, default=100, metavar='N', help='frames a case (100)')
    parser.add_argument(
        '--warm-up', type=int, default=10, metavar='N', help='frames before those (10)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers here')
    parser.add_argument(
        '--build-only',
        action='store_true',
        help="measure nothing: build TensorRT's engines for these sizes and stop",
    )
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, and write."""
    from pavenet_core.benchmark import drifting_picture, measure, video_pictures

    if args.json:
        check_writable(args.json)
    machine = Machine()
    setting = {
        'machine': machine.describe(),
        'versions': _versions(),
        'command': command_line('benchmark', args, add_arguments, _word),
    }
    before = machine.memory_mib()
    model = open_model(args)
    if args.build_only:
        sizes = args.size or [SIZE]
        model.build_engines(sizes)
        print(f'engines for {", ".join(map(_word, sizes))} are in {args.tensorrt_cache}')
        return
    videos = (
        video_pictures(args.video, args.size)
        if args.video
        else {size: drifting_picture(size) for size in args.size or [SIZE]}
    )
    cases = measure(
        model,
        videos,
        args.people,
        rounds=args.rounds,
        warm_up=args.warm_up,
        progress=_progress,
    )
    memory = {'before_the_model': before.get('resident'), **machine.memory_mib()}
    facts = {**setting, **_facts(model, args), 'memory_mib': memory}
    print('\n'.join([*_heading(facts), '', *_table(cases)]))
    if args.json:
        numbers = {**facts, 'cases': [_to_json(case) for case in cases]}
        args.json.write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')


def _facts(model: 'PoseModel', args: argparse.Namespace) -> dict[str, Any]:
    return {
        'model': f'{model.metadata.name} {model.metadata.version}'.strip(),
        'num_frames': model.metadata.num_frames,
        'input_long_side': model.metadata.input_long_side,
        'precision': model.metadata.precision,
        'device': args.device,
        'providers': list(model.providers),
        'threads': args.threads,
        'pictures': str(args.video or 'synthetic'),
        'rounds': args.rounds,
        'warm_up': args.warm_up,
    }


def _heading(facts: dict[str, Any]) -> list[str]:
    versions = ', '.join(f'{name} {version}' for name, version in facts['versions'].items())
    memory = ', '.join(
        f'{name.replace("_", " ")} {"unknown" if mib is None else f"{mib:.0f} MiB"}'
        for name, mib in facts['memory_mib'].items()
    )
    return [
        f'{facts["machine"]}; {versions}; {facts["command"]}',
        f'model {facts["model"]}, T={facts["num_frames"]}, {facts["precision"]}, longer side '
        f'{facts["input_long_side"]}; {", ".join(facts["providers"])}; '
        f'threads {facts["threads"] or "automatic"}; pictures {facts["pictures"]}; '
        f'{facts["rounds"]} rounds after {facts["warm_up"]}',
        f'memory of this process: {memory}',
    ]


def _table(cases: list['Case']) -> list[str]:
    """Return a Markdown table of milliseconds, one row for each stage of each case."""
    from pavenet_core.benchmark import markdown_table

    rows = []
    for case in cases:
        found = case.percentiles()
        for stage, times in found.items():
            share = times['p50'] / found['frame']['p50']
            rows.append(
                [
                    'x'.join(map(str, case.size)),
                    str(case.people),
                    stage.replace('_', ' '),
                    *(f'{times[name]:.2f}' for name in SHARES),
                    f'{share:.0%}',
                ]
            )
    head = ['size', 'people', 'stage', *(f'{name} ms' for name in SHARES), 'of the frame']
    return markdown_table(head, rows)


def _to_json(case: 'Case') -> dict[str, Any]:
    return {'size': list(case.size), 'people': case.people, 'ms': case.percentiles()}


def _versions() -> dict[str, str]:
    import cv2
    import numpy as np
    import onnxruntime as ort

    from pavenet_core import __version__

    return {
        'pavenet_core': __version__,
        'Python': platform.python_version(),
        'numpy': np.__version__,
        'OpenCV': cv2.__version__,
        'onnxruntime': ort.__version__,
    }


def _word(value: object) -> str:
    return 'x'.join(map(str, value)) if isinstance(value, tuple) else str(value)


def _progress(rounds: Any) -> Any:
    from tqdm import tqdm

    return tqdm(rounds, unit='round', leave=False, disable=None)


def _size(text: str) -> tuple[int, int]:
    """Read width and height."""
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not a width and height such as 640x480')
    return int(match[1]), int(match[2])
