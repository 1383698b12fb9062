"""What limits the kernel: the GPU's own counters, by Nsight Compute, for the encoder's call."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from kernel_cases import cases, draw
from kernel_forms import kernel_form
from kernel_report import Facts, Report

from pavenet_core import ops

TOOL = '/usr/local/cuda/bin/ncu'
NUMBERS = (torch.float32, torch.float16)
WAYS = ('forward', 'backward')
METRICS = (
    'gpu__time_duration.sum',
    'l1tex__throughput.avg.pct_of_peak_sustained_active',
    'l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed',
    'l1tex__data_pipe_lsu_wavefronts.sum',
    'l1tex__data_pipe_lsu_wavefronts_mem_shared.sum',
    'l1tex__t_sector_hit_rate.pct',
    'lts__throughput.avg.pct_of_peak_sustained_elapsed',
    'lts__t_sector_hit_rate.pct',
    'lts__t_bytes.sum',
    'dram__throughput.avg.pct_of_peak_sustained_elapsed',
    'dram__bytes.sum',
    'sm__inst_executed.sum',
    'smsp__issue_active.avg.pct_of_peak_sustained_active',
    'sm__warps_active.avg.pct_of_peak_sustained_active',
    'smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio',
    'smsp__average_warps_issue_stalled_mio_throttle_per_issue_active.ratio',
    'smsp__average_warps_issue_stalled_short_scoreboard_per_issue_active.ratio',
)


def counters(report: Report) -> None:
    """Count forward and backward."""
    tool = shutil.which('ncu') or TOOL
    if report.dry_run or not Path(tool).is_file():
        report.note('counters', {'skipped': 'dry run' if report.dry_run else 'no ncu'})
        return
    ops.build()
    for dtype in NUMBERS:
        report.attempt(str(dtype), lambda d=dtype: _count(tool, d))


def _count(tool: str, dtype: torch.dtype) -> Facts:
    command = [tool, '--clock-control', 'none', '--csv', '--page', 'raw']
    command += ['--kernel-name', 'regex:forward_kernel|backward_kernel']
    call = [sys.executable, __file__, str(NUMBERS.index(dtype))]
    # Should a version lack one of the names, its own choice must do.
    for choice in (['--metrics', ','.join(METRICS)], ['--set', 'basic']):
        result = subprocess.run(
            [*command, *choice, *call], capture_output=True, text=True, timeout=60
        )
        lines = [line for line in result.stdout.splitlines() if line.startswith('"')]
        if len(lines) > 2:
            break
    else:
        return {'failed': (result.stdout + result.stderr)[-600:]}
    rows = list(csv.DictReader(lines))[1:]  # the first holds the units
    return {
        way: {metric: value for metric, value in row.items() if '__' in metric}
        for way, row in zip(WAYS, rows, strict=False)
    }


def _calls(dtype: torch.dtype) -> None:
    ops.build()
    case = cases(dry_run=False)[0]
    inputs = draw(case, dtype, 'cuda')
    for way in WAYS:
        getattr(kernel_form(case, inputs), way)()
    torch.cuda.synchronize()


if __name__ == '__main__':
    _calls(NUMBERS[int(sys.argv[1])])
