"""Say what is known of a bundle."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet info` takes."""
    parser.epilog = 'example:\n  pavenet info compact'
    parser.add_argument(
        'model', nargs='?', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument('--json', action='store_true', help='print metadata.json as it is')


def run(args: argparse.Namespace) -> None:
    """Print the facts."""
    from pavenet_core.bundle import GRAPHS, load_bundle

    bundle = load_bundle(args.model)
    facts = bundle.metadata.to_json()
    if args.json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    names = facts.pop('skeleton')['names']
    skeleton = bundle.metadata.skeleton
    facts |= {
        'skeleton': f'{skeleton.name}, {len(skeleton)} keypoints: {", ".join(names)}',
        'folder': bundle.path,
        'size': f'{sum(bundle.graph(g).stat().st_size for g in GRAPHS) / 1e6:.1f} MB',
    }
    _print_facts(facts)


def _print_facts(facts: dict[str, object], indent: str = '') -> None:
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            print(f'{indent}{name}')
            _print_facts(value, indent + '  ')
        else:
            print(f'{indent}{name:<{18 - len(indent)}}{value or "unknown"}')
