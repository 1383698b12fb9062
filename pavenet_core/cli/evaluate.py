"""Measure a model's accuracy on labelled pictures and clips: COCO's AP and PoseTrack's."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavenet_core.cli.command_line import command_line
from pavenet_core.cli.device import add_device_arguments, open_model

if TYPE_CHECKING:
    from pavenet_core.evaluation.accuracy import Accuracy
    from pavenet_core.evaluation.temporal import TemporalRow
    from pavenet_core.runtime import PoseModel

WINDOWS = ('causal', 'lookahead', 'still')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet evaluate` takes."""
    parser.epilog = (
        'examples:\n  pavenet evaluate --images val2017 '
        '--annotations person_keypoints_val2017.json --json accuracy.json\n'
        '  pavenet evaluate --images posetrack18 --annotations posetrack18/annotations/val '
        '--model mybundle --window lookahead --report report.html'
    )
    parser.add_argument(
        '--images', type=Path, required=True, metavar='DIR', help='the pictures or videos'
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        required=True,
        metavar='PATH',
        help='COCO keypoint file, or a folder of PoseTrack files; only what is labelled counts',
    )
    parser.add_argument(
        '--model', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers here')
    parser.add_argument(
        '--report', type=Path, metavar='FILE', help='write a page with curves and worst frames'
    )
    parser.add_argument(
        '--window',
        choices=WINDOWS,
        default='causal',
        help='see a frame with those before it, with those after it too, or alone (causal)',
    )
    steps = parser.add_mutually_exclusive_group()
    steps.add_argument(
        '--frame-step', type=int, default=1, metavar='N', help="between a window's frames (1)"
    )
    steps.add_argument(
        '--interval', type=float, metavar='SECONDS', help='the same in time, for timed clips'
    )
    parser.add_argument(
        '--temporal',
        action='store_true',
        help='also compare all windows, on clean and on degraded key frames',
    )
    parser.add_argument(
        '--score-threshold', type=float, default=0.0, help='leave out people below it (0.0)'
    )
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Find the people of every labelled frame, and print, write and show the accuracy."""
    import pycocotools  # noqa: F401 - fails now, not after the pictures are through

    from pavenet_core.data.read import read_dataset
    from pavenet_core.evaluation.accuracy import check_labels, measure
    from pavenet_core.evaluation.temporal import check_windows, compare_windows
    from pavenet_core.evaluation.windows import find_people, neighbours_of

    _check(args)
    model = open_model(args)
    if args.temporal:
        check_windows(model.metadata)
    steps = {'step': args.frame_step, 'interval_s': args.interval}
    neighbours = neighbours_of(args.window, model.metadata, **steps)
    dataset = read_dataset(args.annotations, args.images)
    check_labels(dataset, model.metadata.skeleton, neighbours)
    poses = find_people(model, dataset, neighbours, args.score_threshold)
    accuracy = measure(dataset, poses, model.metadata.postprocess)
    temporal = compare_windows(model, dataset, **steps) if args.temporal else []
    name = model.metadata.name
    if args.json:
        numbers = _numbers(name, len(dataset.frames), args.window, accuracy, temporal)
        args.json.write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')
    if args.report:
        from pavenet_core.evaluation.report import ReportFacts, write_html

        facts = ReportFacts(
            command_line('evaluate', args, add_arguments),
            f'{name} {model.metadata.version}',
            args.window,
        )
        page = write_html(facts, dataset, poses, accuracy, temporal)
        args.report.write_text(page, encoding='utf-8')
    _print(model, len(dataset.frames), accuracy, temporal)


def _check(args: argparse.Namespace) -> None:
    """Refuse, before the work, what cannot be done."""
    if args.frame_step < 1:
        raise ValueError(f'--frame-step must be 1 or more, got {args.frame_step}')
    if args.interval is not None and not 0 < args.interval < float('inf'):
        raise ValueError(f'--interval must be above 0 and finite, got {args.interval}')
    if not 0 <= args.score_threshold <= 1:
        raise ValueError(f'--score-threshold must be in [0, 1], got {args.score_threshold}')
    for path in (args.json, args.report):
        if path and not path.parent.is_dir():
            raise ValueError(f'the folder of {path} does not exist; make it, or choose another')
        if path and path.is_dir():
            raise ValueError(f'{path} is a folder; give the name of a file in it')
    if args.report:
        import matplotlib  # noqa: F401 - fails now, not after the pictures are through


def _numbers(
    model: str, images: int, window: str, accuracy: 'Accuracy', temporal: list['TemporalRow']
) -> dict[str, Any]:
    from dataclasses import asdict

    rows = {'temporal': [asdict(row) for row in temporal]} if temporal else {}
    return {'model': model, 'images': images, 'window': window, **accuracy.to_json(), **rows}


def _print(
    model: 'PoseModel', images: int, accuracy: 'Accuracy', temporal: list['TemporalRow']
) -> None:
    from pavenet_core.evaluation.text import accuracy_lines, temporal_lines

    print(f'{model.metadata.name} on {images} images (OKS, COCO protocol)')
    print(f'by {", ".join(model.providers)}')
    print('\n'.join(accuracy_lines(accuracy)))
    if temporal:
        print('\n'.join(temporal_lines(temporal)))
