"""Measure a model's accuracy on labelled pictures: COCO's keypoint AP and AR (OKS)."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet evaluate` takes."""
    parser.epilog = (
        'example:\n  pavenet evaluate --images val2017 '
        '--annotations person_keypoints_val2017.json --json accuracy.json'
    )
    parser.add_argument('--images', type=Path, required=True, metavar='DIR', help='the pictures')
    parser.add_argument(
        '--annotations',
        type=Path,
        required=True,
        metavar='FILE',
        help='COCO keypoint file; only the pictures that it lists count',
    )
    parser.add_argument(
        '--model', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers here')
    parser.add_argument(
        '--score-threshold', type=float, default=0.0, help='leave out people below it (0.0)'
    )
    parser.add_argument('--device', default='cpu', help='cpu, cuda, tensorrt or auto (cpu)')
    parser.add_argument('--threads', type=int, default=0, help='per graph; 0 is automatic (0)')


def run(args: argparse.Namespace) -> None:
    """Run every picture as a still and print the accuracy."""
    import pycocotools  # noqa: F401 - fails now, not after the pictures are through

    from pavenet_core.metrics.coco_file import MAX_PEOPLE, keypoint_ap, load_annotations
    from pavenet_core.runtime import VideoPoseEstimator

    estimator = VideoPoseEstimator(
        args.model,
        score_threshold=args.score_threshold,
        max_people=MAX_PEOPLE,
        device=args.device,
        num_threads=args.threads,
    )
    skeleton = estimator.metadata.skeleton
    truth = load_annotations(args.annotations, skeleton)
    results = _predict(estimator, args.images, truth['images'])
    report = {
        'model': estimator.metadata.name,
        'images': len(truth['images']),
        **keypoint_ap(truth, results, skeleton),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    _print_report(report)


def _predict(estimator: Any, folder: Path, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from pavenet_core.metrics.coco_file import coco_results
    from pavenet_core.poses import Frame
    from pavenet_core.runtime import stream_poses
    from pavenet_core.video import read_image

    results = []
    for image in tqdm(images, unit='image', disable=None):
        # Labels are in pixels as stored, so a camera's turn mark must not turn the picture.
        pixels = read_image(folder / image['file_name'], upright=False)
        for _, poses in stream_poses(estimator, [Frame(pixels, 0)]):
            results += coco_results(image['id'], poses)
    return results


def _print_report(report: dict[str, Any]) -> None:
    from pavenet_core.metrics.coco_file import NAMES

    print(f'{report["model"]} on {report["images"]} images (OKS, COCO protocol)')
    for name in NAMES:
        value = report[name]
        print(f'  {name:<10} {"nobody labelled" if value is None else f"{value:.3f}"}')
