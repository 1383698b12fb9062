"""
Train a network by a recipe, or go on with a run: the same command again.

Recipes: 'finetune' improves trained weights on pictures of your own; 'paper' and 'official' are
those of PAVE-Net's paper and of its released code, COCO first where --coco is given, then
PoseTrack; 'compact' is that of the shipped models, on composed pictures around a frozen trunk.
Start it with torchrun to share the work among GPUs or machines; docs/training.md tells all.

Examples:
  pavenet train --recipe finetune --images photos --annotations train.json \
--weights models/compact.pt --out runs/mine
  pavenet train --recipe paper --coco coco --posetrack posetrack18 \
--weights petr_r50_16x2_100e_coco.pth --model r50 --out runs/paper
  torchrun --nproc-per-node 8 -m pavenet_core.cli train --recipe paper --posetrack posetrack18 \
--weights coco.pt --out runs/posetrack

"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pavenet_core.train.recipe import Recipe
    from pavenet_core.train.stages import StageData

DEFAULT_MODELS = {'paper': 'r50', 'official': 'official_r50', 'compact': 'compact'}
NEEDS = {
    'finetune': '--images and --annotations',
    'paper': '--posetrack, and --coco to begin with',
    'official': '--posetrack, and --coco to begin with',
    'compact': '--images and --annotations',
}
# Options that replace a field of the recipe, in every stage.
CHANGES = (
    *(
        'epochs',
        'steps',
        'rate',
        'update_windows',
        'batch',
        'precision',
        'frozen',
        'longest',
        'shards',
    ),
    *('seed', 'workers', 'recompute', 'deterministic', 'checkpoint_minutes'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('--recipe', required=True, help='finetune, paper, official or compact')
    parser.add_argument('--out', type=Path, required=True, help='folder of the run')
    data = parser.add_argument_group('data')
    data.add_argument('--images', type=Path, help='finetune, compact: folder of the pictures')
    data.add_argument('--annotations', type=Path, help='their labels')
    data.add_argument('--val-images', type=Path, help='pictures to measure on (--images)')
    data.add_argument('--val-annotations', type=Path, help='their labels')
    data.add_argument('--coco', type=Path, help='paper, official: folder of COCO 2017')
    data.add_argument('--posetrack', type=Path, help='paper, official: folder of PoseTrack')
    data.add_argument(
        '--cache', type=Path, help='folder of the cache, of a recipe that has one (OUT/cache)'
    )
    data.add_argument('--shards', type=int, help='of 256 pictures, of that cache')
    network = parser.add_argument_group('network')
    network.add_argument('--weights', type=Path, help="ours, or the authors' PETR or PAVE-Net")
    network.add_argument(
        '--model',
        help='configuration (that of the weights, else r50, official_r50, compact, as the recipe)',
    )
    network.add_argument('--frames', type=int, help='of a window (those of the model)')
    network.add_argument(
        '--trunk',
        default='imagenet',
        help="without --weights: imagenet, random or a file of MoveNet's weights (imagenet)",
    )
    change = parser.add_argument_group("changes to the recipe's every stage")
    change.add_argument('--epochs', type=int, help='times through the pictures')
    change.add_argument('--steps', type=int, help='updates, instead of epochs')
    change.add_argument('--rate', type=float, help='learning rate')
    change.add_argument(
        '--update',
        dest='update_windows',
        type=int,
        help='windows of an update, over all processes',
    )
    change.add_argument('--batch', type=int, help='of these at a time in a process')
    change.add_argument('--precision', help='float32, bfloat16 or float16')
    change.add_argument('--frozen', help='of the trunk: authors, trunk (all of it) or nothing')
    change.add_argument('--longest', type=int, help="pixels of a picture's longer side")
    change.add_argument('--seed', type=int, help='of all random choices (0)')
    change.add_argument('--checkpoint-minutes', type=float, help='between two checkpoints (3)')
    change.add_argument('--workers', type=int, help='processes that load pictures')
    change.add_argument(
        '--recompute', action='store_const', const=True, help='less memory, a third slower'
    )
    change.add_argument(
        '--deterministic', action='store_const', const=True, help='repeatable also on a GPU'
    )
    parser.add_argument('--device', default='auto', help='cpu, cuda or auto (auto)')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done, and stop')


def run(args: argparse.Namespace) -> None:
    """Read the data, then train the stages."""
    import logging

    import torch

    from pavenet_core.train.distributed import join, leave

    processes = join(args.device)
    level = logging.INFO if processes.first else logging.WARNING
    logging.basicConfig(level=level, format='%(message)s')
    try:
        finished = _train(args, processes)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f'the memory of {processes.device} does not suffice; take a smaller --batch or '
            f'--longest, or --recompute, or --precision bfloat16; {args.out} keeps the last '
            'checkpoint'
        ) from error
    finally:
        leave()
    if not processes.first or args.dry_run:
        return
    if not finished:
        print(f'stopped and saved; the same command goes on from {args.out}')
        raise KeyboardInterrupt
    print(f'{args.out / "checkpoint.pt"} is ready for: pavenet export')


def _train(args: argparse.Namespace, processes: Any) -> bool:
    import torch

    from pavenet_core.train.recipe import RECIPES
    from pavenet_core.train.stages import Run, describe, make_trainer, run_stages
    from pavenet_core.train.start import RANDOM, choose_config, read_any_weights

    if args.recipe not in RECIPES:
        raise ValueError(f'no recipe {args.recipe!r}; there are {sorted(RECIPES)}')
    weights = read_any_weights(args.weights) if args.weights else None
    if args.recipe == 'finetune' and weights is None:
        raise ValueError('finetune begins with trained weights; give --weights FILE')
    preset = args.model or (None if weights else DEFAULT_MODELS[args.recipe])
    config = choose_config(preset, args.frames, weights)
    data = _read_data(args)
    stages = [stage for stage in RECIPES[args.recipe](config) if stage.data in data]
    if not stages:
        raise ValueError(f'recipe {args.recipe} needs {NEEDS[args.recipe]}')
    _refuse_unused(args, {stage.data for stage in stages})
    recipes = [_changed(stage, args) for stage in stages]
    cache = args.cache or args.out / 'cache'
    run = Run(config, weights, args.trunk, args.out, cache, processes)
    if args.deterministic:
        # What has no repeatable form, such as sampling's backward on CUDA, warns and goes on.
        torch.use_deterministic_algorithms(True, warn_only=True)
    if not args.dry_run:
        return run_stages(recipes, data, run)
    run = replace(run, trunk=RANDOM)
    for index, recipe in enumerate(recipes):
        trainer = make_trainer(recipe, data[recipe.data], run, run.folder(recipes, index))
        print(describe(recipe, trainer, data[recipe.data]))
        run = replace(run, weights=None)  # the next stage would begin with this one's
    return True


def _refuse_unused(args: argparse.Namespace, taken: set[str]) -> None:
    """Refuse data that no stage would learn from or be measured on."""
    for name in ('images', 'val_images', 'coco', 'posetrack'):
        if getattr(args, name) and name.removeprefix('val_') not in taken:
            raise ValueError(
                f'recipe {args.recipe} has no use for --{name.replace("_", "-")}; leave it out, '
                'or take another recipe'
            )


def _read_data(args: argparse.Namespace) -> 'dict[str, StageData]':
    """Read what the command names, by the word that recipes have for it."""
    from pavenet_core.data.read import read_dataset
    from pavenet_core.train.stages import StageData

    places: dict[str, tuple[Path, Path]] = {}
    val_images = args.val_images or (args.images if args.val_annotations else None)
    for name, labels, images in (
        ('', args.annotations, args.images),
        ('val_', args.val_annotations, val_images),
    ):
        if labels and images:
            places[f'{name}images'] = (labels, images)
        elif labels or images:
            option = name.replace('_', '-')
            raise ValueError(f'--{option}annotations and --{option}images belong together')
    if args.coco:
        for name, part in (('', 'train2017'), ('val_', 'val2017')):
            labels = args.coco / 'annotations' / f'person_keypoints_{part}.json'
            places[f'{name}coco'] = (labels, args.coco / part)
    if args.posetrack:
        for name, part in (('', 'train'), ('val_', 'val')):
            places[f'{name}posetrack'] = (args.posetrack / 'annotations' / part, args.posetrack)
    # What to measure on may be left out of a benchmark's folder.
    found = {
        name: read_dataset(labels, images)
        for name, (labels, images) in places.items()
        if name in ('images', 'val_images', 'coco', 'posetrack') or labels.exists()
    }
    wanted = (name for name in found if not name.startswith('val_'))
    return {name: StageData(found[name], found.get(f'val_{name}')) for name in wanted}


def _changed(recipe: 'Recipe', args: argparse.Namespace) -> 'Recipe':
    """Return the recipe with what the command asks for instead."""
    changes = {name: getattr(args, name) for name in CHANGES}
    if args.epochs is not None and args.steps is None:
        changes['steps'] = 0
    return replace(recipe, **{name: v for name, v in changes.items() if v is not None})
