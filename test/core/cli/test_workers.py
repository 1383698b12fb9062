import os
from collections.abc import Callable

import pytest

from pavenet_core.cli.workers import RayWorkers, run_here


def test_tasks_are_done_here_in_order_and_counted() -> None:
    ticks: list[int] = []

    def work(task: int, tick: Callable[[], object]) -> int:
        for _ in range(task):
            tick()
        return 10 * task

    assert list(run_here(work, [3, 1], ticks.append)) == [30, 10]
    assert ticks == [1] * 4


def test_ray_counts_all_and_a_dead_worker_is_one_answer() -> None:
    pytest.importorskip('ray')
    ticks: list[int] = []

    def work(task: int, tick: Callable[[], object]) -> str:
        for _ in range(task):
            tick()
        if task == 0:
            os._exit(1)  # as a process that is killed for its memory
        return f'{task} done'

    with RayWorkers(2, None, on_gpu=False) as workers:
        tasks = [5, 0, 7, 100]
        answers = set(workers.run(work, tasks, ticks.append, lambda task, _: f'{task} died'))
    assert answers == {'5 done', '0 died', '7 done', '100 done'}
    assert sum(ticks) == 112
