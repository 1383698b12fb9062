"""Say what is known of a model and what each of its modules costs, or what this machine has."""

import argparse
import json
import re
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavenet_core.bundle import (
    Bundle,
    BundleMetadata,
    load_bundle,
    shipped_bundles,
)
from pavenet_core.config import ModelConfig
from pavenet_core.presets import PRESETS

if TYPE_CHECKING:
    from pavenet_core.model.complexity import Complexity

TITLES = {'pose_decoder': 'pose decoder (STPD)', 'joint_decoder': 'joint decoder (STJD)'}
NOTES = """\
frame    once for each frame that comes in and kept, the decoders' values (value_proj) too
window   once for each answer
stream   frame + window: the cost per frame of a video
scratch  one answer with no frame seen before: all its frames, query selection for one of them
         (of a pyramid for all, whose peaks are linked)
Counted: convolutions, matrix products, attention; 5 multiply-adds per sampled channel, 4 for the
bilinear neighbours and 1 for the attention weight. Not counted: elementwise work (norms,
activations, softmax) and heads that only training reads. 1 multiply-add is 2 FLOPs."""
NO_TORCH = (
    'for parameters and multiply-adds install torch and timm: pip install timm torch torchvision'
)
NO_PRESET = 'parameters and multiply-adds: unknown, for the network is no preset of this version'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet info` takes."""
    parser.epilog = (
        'A bundle holds no configuration of the network; the table of modules is that of the\n'
        'preset with its name, unless the two contradict each other.\n\n'
        'examples:\n  pavenet info compact\n  pavenet info --system\n'
        '  pavenet info swin_l_t5 --size 800x1333 --people 100'
    )
    parser.add_argument(
        'model',
        nargs='?',
        default='compact',
        help='a shipped bundle, a bundle folder, a preset or a checkpoint (compact)',
    )
    parser.add_argument(
        '--size',
        type=_size,
        metavar='HxW',
        help="height and width of the resized picture, padded to the model's alignment "
        '(800x1333 for models of a longer side of 1333, otherwise 3:4)',
    )
    parser.add_argument(
        '--people',
        type=int,
        metavar='N',
        help='people that the joint decoder refines (20, or all queries if fewer)',
    )
    parser.add_argument(
        '--system', action='store_true', help='say instead what this machine has, and lacks'
    )
    parser.add_argument('--json', action='store_true', help='print everything as JSON')


def run(args: argparse.Namespace) -> None:
    """Print the facts, then the table; or the facts of the machine."""
    if args.system:
        from pavenet_core.cli import info_system

        info_system.run(args)
        return
    bundle, config = _find(args.model)
    cost = None
    if config and (bundle is None or (find_spec('torch') and find_spec('timm'))):
        from pavenet_core.model.complexity import complexity

        cost = complexity(config, args.size, args.people)
    if args.json:
        facts = bundle.metadata.to_json() if bundle else None
        network = _to_json(config, cost) if config and cost else None
        print(json.dumps({'bundle': facts, 'network': network}, indent=1, ensure_ascii=False))
        return
    if bundle:
        _print_bundle(bundle)
        print()
    if config and cost:
        print('\n'.join(_table(config, cost)))
    else:
        print(NO_TORCH if config else NO_PRESET)


def _find(name: str) -> tuple[Bundle | None, ModelConfig | None]:
    """Return the bundle and the configuration that a name stands for, at least one of them."""
    path = Path(name)
    if name in shipped_bundles() or (path.is_dir() and name not in PRESETS):
        bundle = load_bundle(name)
        return bundle, _configuration(bundle.metadata)
    if name in PRESETS:
        return None, PRESETS[name]
    if path.is_file():
        from pavenet_core.model.checkpoint import load_checkpoint

        return None, load_checkpoint(path).config
    raise ValueError(
        f'no model {name!r}: it is no bundle folder, no checkpoint, none of the shipped bundles '
        f'{shipped_bundles()} and none of the presets {list(PRESETS)}'
    )


def _configuration(metadata: BundleMetadata) -> ModelConfig | None:
    """Return the preset of a bundle's name with the bundle's facts, unless they contradict."""
    preset = PRESETS.get(metadata.name)
    if preset is None:
        return None
    ours = (preset.num_levels, preset.pose_layers, preset.joint_layers, preset.num_queries)
    theirs = (metadata.num_levels, metadata.num_pose_layers, metadata.num_joint_layers)
    if ours != (*theirs, metadata.max_people):
        return None
    return replace(
        preset.with_frames(metadata.num_frames),
        skeleton=metadata.skeleton,
        input_long_side=metadata.input_long_side,
        input_alignment=metadata.input_alignment,
    )


def _print_bundle(bundle: Bundle) -> None:
    facts = bundle.metadata.to_json()
    names = facts.pop('skeleton')['names']
    skeleton = bundle.metadata.skeleton
    graphs = [bundle.graph(name) for name in bundle.metadata.graphs]
    facts |= {
        'skeleton': f'{skeleton.name}, {len(skeleton)} keypoints: {", ".join(names)}',
        'folder': bundle.path,
        'size': f'{sum(graph.stat().st_size for graph in graphs) / 1e6:.1f} MB',
    }
    _print_facts(facts)


def _print_facts(facts: dict[str, object], indent: str = '') -> None:
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            print(f'{indent}{name}')
            _print_facts(value, indent + '  ')
        else:
            known = 'unknown' if value in ('', {}, None) else value
            print(f'{indent}{name:<{24 - len(indent)}}{known}')


def _table(config: ModelConfig, cost: 'Complexity') -> list[str]:
    """Return the lines of the table of modules."""
    size, canvas = (f'{height}x{width}' for height, width in (cost.size, cost.canvas))
    padded = '' if size == canvas else f' padded to {canvas}'
    total = cost.total
    rows = [
        f'{TITLES.get(name, name.replace("_", " ")):<21}'
        f'{part.parameters:>12,}{part.parameters / total.parameters:>8.1%}'
        + ''.join(
            f'{value / 1e9:>11,.3f}'
            for value in (part.frame, part.window, part.stream, part.scratch)
        )
        for name, part in [*cost.modules.items(), ('total', total)]
    ]
    return [
        f'{config.name}: T={config.num_frames}, pictures of {size}{padded}, '
        f'{config.num_queries} queries, {cost.people} people',
        'multiply-adds in billions (GMAC):',
        f'{"":<21}{"parameters":>12}{"share":>8}'
        + ''.join(f'{title:>11}' for title in ('frame', 'window', 'stream', 'scratch')),
        *rows,
        NOTES,
    ]


def _to_json(config: ModelConfig, cost: 'Complexity') -> dict[str, Any]:
    """Return the table as plain values, multiply-adds as whole numbers."""
    total = cost.total
    rows = {
        name: {
            **asdict(part),
            'stream': part.stream,
            'share': part.parameters / total.parameters,
        }
        for name, part in [*cost.modules.items(), ('total', total)]
    }
    return {
        'config': config.to_json(),
        'size': cost.size,
        'canvas': cost.canvas,
        'people': cost.people,
        'unit': 'multiply-adds',
        'modules': {name: row for name, row in rows.items() if name != 'total'},
        'total': rows['total'],
    }


def _size(text: str) -> tuple[int, int]:
    """Read height and width."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not a height and width such as 800x1333')
    return int(match[1]), int(match[2])
