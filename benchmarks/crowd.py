"""How the time of one frame grows with the people in it."""

import argparse

from stream import Stream
from timing import interleaved, print_setting, print_times

from models import variant
from pavenet_core.runtime import PoseModel

PEOPLE = (1, 3, 5, 10, 20, 50, 100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=30)
    args = parser.parse_args()
    print_setting()
    model = PoseModel(variant(num_queries=100), num_threads=args.threads)
    times = interleaved({f'{n} people': Stream(model, n) for n in PEOPLE}, args.rounds)
    print_times(times, '1 people')


if __name__ == '__main__':
    main()
