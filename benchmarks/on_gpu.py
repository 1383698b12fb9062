"""
Every check and timing that needs a GPU, in under nine minutes, without network, into one JSON.

    python benchmarks/on_gpu.py --out gpu.json [--peer DIR] [--only PART ...] [--skip PART ...]

Each part runs in a process of its own within its share of `--seconds`; one that fails or hangs is
recorded and the rest still run, and one that lost the GPU to a bad access goes on behind it in a
new process. The results are written as they come. What is compiled stays in torch's folder
(TORCH_EXTENSIONS_DIR) for later calls. `--peer DIR` compares with the kernels that
benchmarks/kernel_peers.py fetched. `--dry-run` needs no GPU: tiny sizes, the torch form standing
in for the kernel. While other work uses the GPU, `--only build build_peers check gradients` is of
use.
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

from kernel_report import LostGpuError, Report

ROOT = Path(__file__).parents[1]
TOTAL_SECONDS = 520.0
CUDA = '/usr/local/cuda'
LOST = 3  # exit code: the process can use the GPU no more
ATTEMPTS = 4


class Part(NamedTuple):
    """A step: its share of the time, and the function `name` of the module that it runs."""

    module: str
    share: float  # about seconds on an H200
    beside: bool = False  # begun early, beside the parts before it


# In the order of what must not be missed.
PARTS = {
    'build': Part('kernel_check', 60),
    'build_peers': Part('kernel_timing', 240, beside=True),
    'machine': Part('kernel_timing', 10),
    'check': Part('kernel_check', 30),
    'gradients': Part('kernel_check', 20),
    'timing': Part('kernel_timing', 80),
    'peers': Part('kernel_timing', 20),
    'counters': Part('kernel_counters', 30),
    'stream': Part('kernel_stream', 30),
    'models': Part('kernel_in_model', 140),
    'compiled': Part('kernel_in_model', 120),
    'sanitize': Part('kernel_check', 60),
}
UNDISTURBED = ('timing', 'peers', 'stream', 'models', 'compiled', 'counters')
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
        print(f'{name}: {result["state"]}, {result["seconds"]:.0f} s')
        for failure in result['failures']:
            print(f'  failed: {failure}: {str(result["found"][failure])[:300]}')
        if result['state'].startswith('exit code'):
            print(result['log'][-600:])
    print(summary(results))
    failed = any(x['state'] != 'done' or x['failures'] for x in results.values())
    return int(failed)


def run_parts(chosen: list[str], options: argparse.Namespace, scratch: Path) -> dict[str, Facts]:
    """Run the chosen parts within the time left, writing the results as they come."""
    deadline = time.monotonic() + options.seconds
    early = {
        name: start(name, options, scratch, deadline) for name in chosen if PARTS[name].beside
    }
    inline = [name for name in chosen if name not in early]
    results: dict[str, Facts] = {}
    for i, name in enumerate(inline):
        if name in UNDISTURBED:
            for other, running in early.items():
                await_end(other, running, results, options.out)
        share = PARTS[name].share / sum(PARTS[x].share for x in inline[i:])
        until = time.monotonic() + share * (deadline - time.monotonic())
        for _ in range(ATTEMPTS):
            running = start(name, options, scratch, until)
            await_end(name, running, results, options.out)
            if running.process.returncode != LOST:
                break
    for name, running in early.items():
        await_end(name, running, results, options.out)
    return results


def await_end(name: str, running: Running, results: dict[str, Facts], out: Path) -> None:
    """Wait for a part, writing what it has found so far."""
    state = ''
    while not state:
        time.sleep(0.3)
        state = state_of(running)
        results[name] = found_by(running, state or 'running')
        whole = out.with_suffix('.new')
        whole.write_text(json.dumps(results, indent=1))
        whole.replace(out)


def start(name: str, options: argparse.Namespace, scratch: Path, until: float) -> Running:
    """Begin a part in a process of its own; begun again, it knows what it has found."""
    folder = scratch / name
    folder.mkdir(exist_ok=True)
    child = f'{PARTS[name].module}:{name}'
    command = [sys.executable, __file__, '--child', child, '--out', str(folder / 'found.json')]
    command += ['--dry-run'] if options.dry_run else []
    command += ['--peer', str(options.peer.resolve())] if options.peer else []
    tools = Path(sys.executable).parent  # ninja's
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        'PATH': os.pathsep.join([os.environ.get('PATH', ''), str(tools)]),
    }
    if 'CUDA_HOME' not in environment and Path(CUDA).is_dir():
        environment['CUDA_HOME'] = CUDA
    with (folder / 'log').open('ab') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    now = time.monotonic()
    return Running(process, folder, now, max(1.0, until - now))


def state_of(running: Running) -> str:
    """Say how a part ended, having ended it at its limit; nothing if it still runs."""
    code = running.process.poll()
    if code is not None:
        return 'done' if code == 0 else f'exit code {code}'
    if time.monotonic() < running.began + running.limit:
        return ''
    os.killpg(running.process.pid, 9)
    running.process.wait()
    return f'ended after {running.limit:.0f} s'


def found_by(running: Running, state: str) -> Facts:
    """Return what a part has found, and how it went."""
    path = running.folder / 'found.json'
    report = Report(path)
    return {
        'state': state,
        'seconds': report.found.pop('seconds', time.monotonic() - running.began),
        'failures': report.failures,
        'found': report.found,
        'log': (running.folder / 'log').read_text(errors='replace')[-3000:],
    }


def run_child(options: argparse.Namespace) -> int:
    """Run one part in this process."""
    module, name = options.child.split(':')
    part: Callable[[Report], None] = getattr(importlib.import_module(module), name)
    report = Report(options.out, options.dry_run, options.peer)
    began = time.monotonic()
    try:
        part(report)
    except LostGpuError:
        return LOST
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
            medians = [(x.get('graph') or x['calls'])['median_ms'] for x in (ahead, back)]
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
