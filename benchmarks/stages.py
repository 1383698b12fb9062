"""Where the time of one frame goes: the stages of `compact`, with 1 and 20 people."""

import argparse
import time

from stream import Timed, drifting_picture
from timing import Milliseconds, print_setting, print_times

from models import random_weights
from pavenet_core.poses import Frame
from pavenet_core.presets import COMPACT
from pavenet_core.runtime import PoseModel, VideoPoseEstimator

PEOPLE = (1, 20)
GRAPHS = ('spatial_encoder', 'pose_decoder', 'joint_decoder')


def time_graphs(model: PoseModel) -> dict[str, Milliseconds]:
    """Let every graph of a model add its times to the lists returned."""
    times: dict[str, Milliseconds] = {name: [] for name in GRAPHS}
    for name, spent in times.items():
        block = getattr(model, name)
        block.graph = Timed(block.graph, spent)
    return times


def stages(model: PoseModel, people: int, rounds: int) -> dict[str, Milliseconds]:
    """Return the times of whole frames, of each graph, and of all beside the graphs."""
    estimator = VideoPoseEstimator(model, score_threshold=0.0, max_people=people)
    graphs, picture = time_graphs(model), drifting_picture(480, 640)
    whole = []
    for index in range(rounds):
        frame = Frame(picture(index), index * 40_000_000)
        began = time.perf_counter()
        estimator.push(frame)
        whole.append(1e3 * (time.perf_counter() - began))
    rest = [total - sum(parts) for total, *parts in zip(whole, *graphs.values(), strict=True)]
    times = {'frame': whole, **graphs, 'outside onnxruntime': rest}
    return {name: of[3:] for name, of in times.items()}  # without the warm-up


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=60)
    args = parser.parse_args()
    print_setting()
    path = random_weights(COMPACT, num_queries=100)
    for people in PEOPLE:
        print(f'\n{people} people')
        model = PoseModel(path, num_threads=args.threads)
        print_times(stages(model, people, args.rounds), 'frame')


if __name__ == '__main__':
    main()
