"""
Run the node at twice the rate that it can answer, and judge its memory and the answers' age.

python benchmarks/ros_soak.py --minutes 10

The rate that it can answer is measured first, with a camera far too quick. Exit code 1 if an aim
is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from ros_robot import Camera, PoseNode, Reader, age_s, end_on_sigterm

TOO_QUICK_HZ = 90.0
WARM_UP_S, RATE_S = 5.0, 15.0
SETTLED_S = 60.0  # memory before this is not judged: pools and caches still fill
SLOPE_AIM, AGE_AIM_S = 0.5, 1.0


@dataclass(frozen=True)
class Second:
    """One second of the run: when it ended, memory then, and the ages of its answers."""

    at_s: float
    memory_mib: float
    ages_s: list[float]


def main() -> int:
    """Measure, print a line a minute, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--rate', type=float, help='of the camera, in place of measuring (Hz)')
    parser.add_argument('--size', default='640x480')
    parser.add_argument('--model', default='compact')
    parser.add_argument('--reliability', choices=['reliable', 'best_effort'], default='reliable')
    args = parser.parse_args()
    end_on_sigterm()
    with ExitStack() as stack:
        reader = Reader()
        stack.callback(reader.destroy)
        node = PoseNode(parameters={'model': args.model})
        stack.callback(node.stop)
        reader.activate(node.name)
        answers = reader.listen()
        reports: list[DiagnosticArray] = []
        reader.node.create_subscription(DiagnosticArray, '/diagnostics', reports.append, 1)
        camera = partial(Camera, size=args.size, reliability=args.reliability)
        rate = args.rate or 2 * sustained_hz(camera, reader, answers)
        print(f'images of {args.size} come {rate:.1f} times a second')
        stack.callback(camera(rate=rate).stop)
        reader.spin(WARM_UP_S)
        before = counts(reports[-1])
        seconds = watch(node, reader, answers, args.minutes)
        print_counts(before, counts(reports[-1]), seconds[-1].at_s)
    return judge(seconds)


def sustained_hz(camera: Callable[..., Camera], reader: Reader, answers: list) -> float:
    """Return the rate of answers with a camera that is too quick, and stop that."""
    # One that is far too quick takes processor time from the node: so once more, milder.
    rate = TOO_QUICK_HZ
    for _ in range(2):
        quick = camera(rate=rate)
        reader.wait_for(lambda: answers, 'answers')
        reader.spin(WARM_UP_S)
        answers.clear()
        reader.spin(RATE_S)
        rate = 2 * len(answers) / RATE_S
        quick.stop()
        reader.spin(1.0)
        answers.clear()
    return rate / 2


def watch(node: PoseNode, reader: Reader, answers: list, minutes: float) -> list[Second]:
    """Note memory and ages second by second, and print each minute."""
    print(f'{"minute":>6}{"answers/s":>11}{"age ms, median":>16}{"95 %":>7}{"max":>7}{"MiB":>9}')
    seconds: list[Second] = []
    answers.clear()
    began_s = time.monotonic()
    while time.monotonic() - began_s < 60 * minutes:
        reader.spin(1.0)
        ages_s = [age_s(answer) for answer in answers]
        answers.clear()
        seconds.append(Second(time.monotonic() - began_s, node.memory_mib(), ages_s))
        if int(seconds[-1].at_s / 60) > int((seconds[-1].at_s - 1) / 60):
            print_minute(int(seconds[-1].at_s / 60), seconds[-60:])
    return seconds


def print_minute(number: int, seconds: list[Second]) -> None:
    """Print what a minute was like."""
    ages = np.array([age for second in seconds for age in second.ages_s])
    if not ages.size:
        print(f'{number:6d}  no answers')
        return
    median, high, most = 1e3 * np.percentile(ages, (50, 95, 100))
    rate = len(ages) / len(seconds)
    memory = statistics.fmean(second.memory_mib for second in seconds)
    print(f'{number:6d}{rate:11.1f}{median:16.0f}{high:7.0f}{most:7.0f}{memory:9.1f}', flush=True)


def counts(report: DiagnosticArray) -> dict[str, int]:
    """Return the whole numbers of the last status, that of the camera."""
    return {each.key: int(each.value) for each in report.status[-1].values if each.value.isdigit()}


def print_counts(before: dict[str, int], after: dict[str, int], elapsed_s: float) -> None:
    """Print what /diagnostics counted meanwhile."""
    print(f'/diagnostics in {elapsed_s:.0f} s:')
    for name, number in after.items():
        new = number - before.get(name, 0)
        print(f'  {name}: {new}  ({new / elapsed_s:.1f}/s)')
    ratio = (after['images'] - before['images']) / (after['results'] - before['results'])
    print(f'  images per result: {ratio:.2f}')


def judge(seconds: list[Second]) -> int:
    """Print the slope of the memory and the greatest age; return the exit code."""
    settled = [second for second in seconds if second.at_s > min(SETTLED_S, seconds[-1].at_s / 2)]
    slope, _ = np.polyfit(
        [second.at_s / 60 for second in settled], [second.memory_mib for second in settled], 1
    )
    ages = [age for second in seconds for age in second.ages_s]
    results = (
        ('memory, MiB/min', float(slope), SLOPE_AIM),
        ('greatest age, s', max(ages, default=float('inf')), AGE_AIM_S),
    )
    for name, value, aim in results:
        print(f'{name}: {value:.3f}; aim: below {aim}, {"met" if value < aim else "MISSED"}')
    return int(any(value >= aim for _, value, aim in results))


if __name__ == '__main__':
    sys.exit(main())
