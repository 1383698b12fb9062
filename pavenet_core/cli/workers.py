"""Tasks one after the other, or several at once through Ray."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

Task = TypeVar('Task')
Answer = TypeVar('Answer')
# Does a task, calls the function that it is given once per unit of progress.
Work: TypeAlias = Callable[[Task, Callable[[], object]], Answer]

POLL_S = 0.2
CONNECT_S = 5.0  # Ray itself would try for minutes
STORE_BYTES = 100_000_000  # nothing large goes between the processes


def run_here(
    work: Work[Task, Answer], tasks: Sequence[Task], tick: Callable[[int], object]
) -> Iterator[Answer]:
    """Do the tasks in this process and yield their answers."""
    for task in tasks:
        yield work(task, lambda: tick(1))


class RayWorkers:
    """
    Processes of Ray, `workers` of them at work at once; use it with `with`.

    address      of a cluster; None starts Ray on this machine
    workers      None takes as many as the cluster has CPUs for
    num_threads  of each; 0 gives each its share of the CPUs
    on_gpu       give each a GPU, or its share of one
    """

    def __init__(
        self, workers: int | None, address: str | None, *, num_threads: int = 0, on_gpu: bool
    ) -> None:
        self._ray = _import_ray()
        self._started = False
        self._start(workers, address)
        there = self._ray.cluster_resources()
        cpus, gpus = int(there.get('CPU', 1)), int(there.get('GPU', 0))
        self.workers = workers or max(1, cpus // max(1, num_threads))
        self.num_threads = num_threads or max(1, cpus // self.workers)
        # Ray keeps four digits of a share.
        share = min(1.0, int(1e4 * gpus / self.workers) / 1e4) if on_gpu else 0
        self._needs = {'num_cpus': min(cpus, self.num_threads), 'num_gpus': share}

    def _start(self, workers: int | None, address: str | None) -> None:
        quiet = {'logging_level': 'ERROR', 'log_to_driver': False}
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        try:
            if address:
                _knock(address)
                self._ray.init(address=address, **quiet)
            else:
                self._ray.init(
                    address='local',
                    num_cpus=max(workers or 1, os.cpu_count() or 1),
                    include_dashboard=False,
                    object_store_memory=STORE_BYTES,
                    **quiet,
                )
        except (OSError, RuntimeError, ValueError) as error:
            where = f'at {address}' if address else 'on this machine'
            reason = str(error).partition('\n')[0]
            token = '; one that asks for its token needs RAY_AUTH_MODE=token' if address else ''
            raise ValueError(f'Ray cannot be used {where}: {reason}{token}') from error

    def __enter__(self) -> 'RayWorkers':
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what was started, and leave a cluster to the others."""
        self._ray.shutdown()

    def run(
        self,
        work: Work[Task, Answer],
        tasks: Sequence[Task],
        tick: Callable[[int], object],
        dead: Callable[[Task, str], Answer],
    ) -> Iterator[Answer]:
        """Do the tasks and yield answers as they come; `dead` makes that of a dead worker."""
        ray = self._ray
        counter = ray.remote(num_cpus=0)(_Counter).remote()
        remote = ray.remote(max_retries=0, **self._needs)(_work)
        waiting, counted = list(reversed(tasks)), 0
        running: dict[Any, Task] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                task = waiting.pop()
                running[remote.remote(work, task, counter)] = task
            done, _ = ray.wait(list(running), timeout=POLL_S)
            now = ray.get(counter.value.remote())
            tick(now - counted)
            counted = now
            for ref in done:
                task = running.pop(ref)
                try:
                    yield ray.get(ref)
                except ray.exceptions.RayError as error:
                    yield dead(task, _last_line(str(error)))


class _Counter:
    """Progress of all workers; an actor of Ray."""

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        self._count += 1

    def value(self) -> int:
        return self._count


def _work(work: Work[Task, Answer], task: Task, counter: Any) -> Answer:
    answer = work(task, counter.add.remote)
    _import_ray().get(counter.value.remote())  # what was counted before has arrived then
    return answer


def _knock(address: str) -> None:
    """Raise `OSError` if nobody is at an address with a port."""
    host, _, port = address.removeprefix('ray://').rpartition(':')
    if port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_S).close()


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ValueError(
            'several workers need the Python package ray, which is not installed; '
            'get it with: pip install ray'
        ) from error
    return ray


def _last_line(text: str) -> str:
    return text.strip().rpartition('\n')[2]
