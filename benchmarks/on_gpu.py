"""
Every check and timing that needs a GPU, in under nine minutes, without network, into one JSON.

    python benchmarks/on_gpu.py --out gpu.json [--peer DIR] [--only PART ...] [--skip PART ...]

Each part runs in a process of its own under a time limit; one that fails or hangs is recorded and
the rest still run. The kernel is compiled first, into a folder of its own. `--peer DIR` compares
with the kernels that benchmarks/kernel_peers.py fetched. `--dry-run` needs no GPU: tiny sizes, the
torch form standing in for the kernel.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kernel_report import Report

ROOT = Path(__file__).parents[1]
TOTAL_SECONDS = 520.0
CUDA = '/usr/local/cuda'


class Part(NamedTuple):
    """A step: seconds it may take, and the function `name` of the module that it runs."""

    module: str
    seconds: float
    beside: bool = False  # begun early, beside the parts before it


# In the order of what must not be missed.
PARTS = {
    'build': Part('kernel_check', 150),
    'build_peers': Part('kernel_timing', 240, beside=True),
    'machine': Part('kernel_timing', 60),
    'check': Part('kernel_check', 90),
    'gradients': Part('kernel_check', 60),
    'timing': Part('kernel_timing', 150),
    'peers': Part('kernel_timing', 60),
    'models': Part('kernel_in_model', 150),
    'compiled': Part('kernel_in_model', 110),
    'sanitize': Part('kernel_check', 130),
}
UNDISTURBED = ('timing', 'peers', 'models', 'compiled')
Facts = dict[str, Any]


class Running(NamedTuple):
    """A part's process."""

    process: subprocess.Popen[bytes]
    folder: Path
    began: float
    limit: float


def main() -> int:
    """Run the parts, or as a child one of them; return 1 if anything failed."""
    options = _options()
    if options.child:
        return run_child(options)
    if options.peer and not options.peer.is_dir():
        sys.exit(f'--peer {options.peer} is no folder; make it with benchmarks/kernel_peers.py')
    chosen = [x for x in PARTS if x in (options.only or PARTS) and x not in options.skip]
    with tempfile.TemporaryDirectory() as scratch:
        results = run_parts(chosen, options, Path(scratch))
    for name, result in results.items():
        failed = ', '.join(result['failures']) or 'nothing'
        print(f'{name}: {result["state"]}, {result["seconds"]:.0f} s, failed: {failed}')
    print(summary(results))
    failed = any(x['state'] != 'done' or x['failures'] for x in results.values())
    return int(failed)


def run_parts(chosen: list[str], options: argparse.Namespace, scratch: Path) -> dict[str, Facts]:
    """Run the chosen parts within the time left, writing the results after each."""
    deadline = time.monotonic() + options.seconds
    early = {
        name: start(name, options, scratch, deadline) for name in chosen if PARTS[name].beside
    }
    results: dict[str, Facts] = {}
    for name in chosen:
        running = early.get(name)
        if running is None:
            if name in UNDISTURBED:
                for other in early.values():
                    wait(other)
            running = start(name, options, scratch, deadline)
        if not PARTS[name].beside:
            results[name] = finish(running)
            options.out.write_text(json.dumps(results, indent=1))
    results |= {name: finish(running) for name, running in early.items()}
    options.out.write_text(json.dumps(results, indent=1))
    return results


def start(name: str, options: argparse.Namespace, scratch: Path, deadline: float) -> Running:
    """Begin a part in a process of its own."""
    folder = scratch / name
    folder.mkdir()
    child = f'{PARTS[name].module}:{name}'
    command = [sys.executable, __file__, '--child', child, '--out', str(folder / 'found.json')]
    command += ['--dry-run'] if options.dry_run else []
    command += ['--peer', str(options.peer.resolve())] if options.peer else []
    extensions = os.environ.get('TORCH_EXTENSIONS_DIR', str(scratch / 'extensions'))
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        'TORCH_EXTENSIONS_DIR': extensions,
    }
    if 'CUDA_HOME' not in environment and Path(CUDA).is_dir():
        environment['CUDA_HOME'] = CUDA
    with (folder / 'log').open('wb') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    now = time.monotonic()
    return Running(process, folder, now, min(PARTS[name].seconds, max(1.0, deadline - now)))


def wait(running: Running) -> str:
    """Wait for a part to its limit, end it there, and say how it ended."""
    try:
        code = running.process.wait(running.began + running.limit - time.monotonic())
        return 'done' if code == 0 else f'exit code {code}'
    except subprocess.TimeoutExpired:
        os.killpg(running.process.pid, 9)
        running.process.wait()
        return f'ended after {running.limit:.0f} s'


def finish(running: Running) -> Facts:
    """Return what a part found, and how it went."""
    state = wait(running)
    path = running.folder / 'found.json'
    try:
        found = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        found = {}
    return {
        'state': state,
        'seconds': found.pop('seconds', running.limit),
        'failures': Report(path, found=found).failures,
        'found': found,
        'log': (running.folder / 'log').read_text(errors='replace')[-3000:],
    }


def run_child(options: argparse.Namespace) -> int:
    """Run one part in this process."""
    module, name = options.child.split(':')
    part: Callable[[Report], None] = getattr(importlib.import_module(module), name)
    report = Report(options.out, options.dry_run, options.peer)
    began = time.monotonic()
    part(report)
    report.note('seconds', time.monotonic() - began)
    return 0


def summary(results: dict[str, Facts]) -> str:
    """Return the forward and backward medians of all operators as a table."""
    rows = ['| call | forward ms | backward ms | of copy bandwidth |', '|---|---|---|---|']
    for part in ('timing', 'peers'):
        for name, facts in results.get(part, {}).get('found', {}).items():
            if not isinstance(facts, dict) or 'forward' not in facts:
                continue
            ahead, back = facts['forward'], facts['backward']
            medians = [x.get('graph', x['calls'])['median_ms'] for x in (ahead, back)]
            shares = [f'{100 * x["share_of_copy"]:.0f}%' for x in (ahead, back)]
            rows.append(f'| {name} | {medians[0]:.4f} | {medians[1]:.4f} | {" / ".join(shares)} |')
    return '\n'.join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('gpu.json'))
    parser.add_argument('--peer', type=Path, help='folder of fetched kernels')
    parser.add_argument('--only', nargs='+', choices=PARTS)
    parser.add_argument('--skip', nargs='+', choices=PARTS, default=[])
    parser.add_argument('--seconds', type=float, default=TOTAL_SECONDS, help='for all parts')
    parser.add_argument('--dry-run', action='store_true', help='tiny, on the CPU, without kernel')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
