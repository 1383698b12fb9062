"""
Turn an official PAVE-Net or PETR checkpoint (mmcv) into one of ours.

The trunk, the frames, the keypoints and the layers are read from the file. An imported PAVE-Net
gives the authors' numbers, quirk by quirk; an imported PETR is an image model, to train on from
with as many frames as wanted.

Example:
  pavenet import-official posetrack_r50_3.pth --out runs/official/checkpoint.pt
  pavenet export runs/official/checkpoint.pt --out bundles/official

"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('checkpoint', type=Path, help="the authors' file")
    parser.add_argument('--out', type=Path, required=True, help='file to write')
    parser.add_argument('--frames', type=int, help='widen a PETR to so many frames')
    parser.add_argument(
        '--tie-joint-offsets',
        action='store_true',
        help="give all frames the last one's sampling biases in the joint decoder, as the "
        "authors' test script does when it loads a checkpoint",
    )


def run(args: argparse.Namespace) -> None:
    """Read, map, check, write."""
    import torch

    from pavenet_core.model import PaveNet
    from pavenet_core.model.checkpoint import widened
    from pavenet_core.model.official_checkpoint import read_official
    from pavenet_core.train.criterion import Criterion

    official = read_official(args.checkpoint, tie_joint_offsets=args.tie_joint_offsets)
    config = official.config
    model, criterion = PaveNet(config), Criterion(config.skeleton)
    # Of a PETR the sigma heads and flows stay at their start values.
    fresh = model.load_state_dict(official.network, strict=False).missing_keys
    criterion.load_state_dict(official.flows, strict=False)
    weights = model.state_dict()
    if args.frames is not None and args.frames != config.num_frames:
        weights = widened(weights, config, args.frames)
        config = config.with_frames(args.frames)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {'config': config.to_json(), 'average': weights, 'criterion': criterion.state_dict()},
        args.out,
    )
    print(
        f'{args.out}: {config.name}, {config.num_frames} frames, {len(config.skeleton)} '
        f'keypoints, {config.pose_layers} pose and {config.joint_layers} joint decoder layers, '
        f'{len(official.network)} tensors'
    )
    for title, names in (
        ('left out, no place for them', official.ignored),
        ('not in the checkpoint, at their start values', fresh),
    ):
        if names:
            print(f'{title}: {", ".join(names)}')
