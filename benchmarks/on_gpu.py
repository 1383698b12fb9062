"""
Every check and timing that needs a GPU, in under nine minutes, without network, into one JSON.

    python benchmarks/on_gpu.py --out gpu.json [--peer DIR] [--only PART ...] [--skip PART ...]

Each part runs in a process of its own within its share of `--seconds`; one that fails or hangs is
recorded and the rest still run, and one that lost the GPU to a bad access goes on behind it in a
new process. The results are written and printed as they come; should the file be there already,
the new one's name gets a number. What is compiled stays in torch's folder (TORCH_EXTENSIONS_DIR)
for later calls. `--peer DIR` compares with the kernels that benchmarks/kernel_peers.py fetched.
`--dry-run` needs no GPU: tiny sizes, the torch form standing in for the kernel. While other work
uses the GPU, `--only build build_peers check gradients` is of use.
"""

import argparse
import importlib
import itertools
import json
import os
import signal
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
SHORT = 200  # characters of a finding that is printed


class Part(NamedTuple):
    """A step: its share of the time, and the function `name` of the module that it runs."""

    module: str
    share: float  # about seconds on an H200
    beside: bool = False  # begun early, beside the parts before it


# In the order of what must not be missed.
PARTS = {
    'build': Part('kernel_check', 60),
    'build_peers': Part('kernel_timing', 240, beside=True),
    'machine': Part('kernel_timing', 20),
    'check': Part('kernel_check', 30),
    'gradients': Part('kernel_check', 20),
    'timing': Part('kernel_timing', 30),
    'peers': Part('kernel_timing', 20),
    'counters': Part('kernel_counters', 30),
    'stream': Part('kernel_stream', 20),
    'models': Part('kernel_in_model', 160),
    'compiled': Part('kernel_in_model', 90),
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
    if not options.out.parent.is_dir():
        sys.exit(f'--out {options.out}: there is no folder {options.out.parent}; make it first')
    options.out = unused(options.out)
    print(f'results: {options.out}', flush=True)
    chosen = [x for x in PARTS if x in (options.only or PARTS) and x not in options.skip]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('told to end'))  # and so end the parts
    with tempfile.TemporaryDirectory() as scratch:
        results = run_parts(chosen, options, Path(scratch))
    for name, result in results.items():
        print(f'{name}: {result["state"]}, {result["seconds"]:.0f} s')
        for failure in result['failures']:
            print(f'  failed: {failure}: {str(result["found"][failure])[:300]}')
        if result['state'] != 'done':
            print(result['log'][-600:])
    print(summary(results))
    failed = any(x['state'] != 'done' or x['failures'] for x in results.values())
    return int(failed)


def unused(path: Path) -> Path:
    """Return a name for which there is no file yet: earlier results are not to be lost."""
    names = (path.with_stem(f'{path.stem}_{number}') for number in itertools.count(2))
    return next(x for x in itertools.chain([path], names) if not x.exists())


def run_parts(chosen: list[str], options: argparse.Namespace, scratch: Path) -> dict[str, Facts]:
    """Run the chosen parts within the time left, writing the results as they come."""
    deadline = time.monotonic() + options.seconds
    early: dict[str, Running] = {}
    results: dict[str, Facts] = {}
    try:
        for name in (x for x in chosen if PARTS[x].beside):
            early[name] = start(name, options, scratch, deadline)
        inline = [name for name in chosen if name not in early]
        for i, name in enumerate(inline):
            if name in UNDISTURBED:
                await_all(early, results, options.out)
            share = PARTS[name].share / sum(PARTS[x].share for x in inline[i:])
            until = time.monotonic() + share * (deadline - time.monotonic())
            for _ in range(ATTEMPTS):
                running = start(name, options, scratch, until)
                await_all({name: running}, results, options.out)
                if running.process.returncode != LOST:
                    break
        await_all(early, results, options.out)
    finally:
        for running in early.values():
            end(running)
    return results


def await_all(parts: dict[str, Running], results: dict[str, Facts], out: Path) -> None:
    """Wait for each part in turn; should that be interrupted, end it."""
    for name, running in parts.items():
        try:
            await_end(name, running, results, out)
        finally:
            end(running)


def await_end(name: str, running: Running, results: dict[str, Facts], out: Path) -> None:
    """Wait for a part, writing and printing what it has found so far."""
    state = ''
    while not state:
        time.sleep(0.3)
        state = state_of(running)
        known = results.get(name, {'found': {}})['found']
        results[name] = found_by(running, state or 'running')
        for finding, facts in results[name]['found'].items():
            if finding not in known:
                print(f'{name}: {finding}: {in_short(facts)}', flush=True)
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
        # A group of its own, to be ended with all that it has begun; not a session, for a machine
        # that ends what a command leaves behind may pass those over.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=os.setpgrp,
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
    end(running)
    return f'ended after {running.limit:.0f} s'


def end(running: Running) -> None:
    """End a part with all that it has begun, if it still runs."""
    if running.process.poll() is None:
        os.killpg(running.process.pid, 9)
        running.process.wait()


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


def in_short(facts: Any) -> str:
    """Return what a line has room for: why it failed, or its numbers, of times the medians."""
    if not isinstance(facts, dict) or 'failed' in facts:
        return str(facts)[:SHORT]
    words = []
    for key, value in facts.items():
        if isinstance(value, dict) and 'median_ms' in value:
            words.append(f'{key} {value["median_ms"]:.4g} ms')
        elif isinstance(value, dict) and 'calls' in value:
            words.append(f'{key} {median(value):.4g} ms')
        elif isinstance(value, float):
            words.append(f'{key} {value:.4g}')
        elif isinstance(value, bool | int | str):
            words.append(f'{key} {value}')
    return ', '.join(words)[:SHORT]


def median(timed: Facts) -> float:
    """Return milliseconds, of a CUDA graph if there was one."""
    return float((timed.get('graph') or timed['calls'])['median_ms'])


def summary(results: dict[str, Facts]) -> str:
    """Return the forward and backward medians of all operators as a table, if there are any."""
    head = ['| call | forward ms | backward ms | of copy bandwidth |', '|---|---|---|---|']
    rows = []
    for part in ('timing', 'peers'):
        for name, facts in results.get(part, {}).get('found', {}).items():
            if not isinstance(facts, dict) or 'forward' not in facts:
                continue
            ways = facts['forward'], facts['backward']
            medians = ' | '.join(f'{median(x):.4f}' for x in ways)
            shares = ' / '.join(f'{100 * x["share_of_copy"]:.0f}%' for x in ways)
            rows.append(f'| {name} | {medians} | {shares} |')
    return '\n'.join(head + rows if rows else [])


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
