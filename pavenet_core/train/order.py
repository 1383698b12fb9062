"""Which items a process takes at a step, so that training resumes to the bit."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Seed = tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """
    The part that one of several processes has in `num_items`.

    An epoch is a permutation common to all processes. Where it does not divide into steps, the
    last one is filled with items of its beginning.

    batch  items a step of this process
    """

    seed: int
    num_items: int
    batch: int
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        """Refuse what gives no batches, naming the values."""
        if self.batch < 1 or not 0 <= self.rank < self.processes:
            raise ValueError(
                f'no batches of {self.batch} for process {self.rank} of {self.processes}; '
                'a batch has at least 1 and processes are counted from 0'
            )

    @property
    def steps_per_epoch(self) -> int:
        """Return how many steps take every item at least once."""
        return -(-self.num_items // (self.batch * self.processes))

    def of(self, step: int) -> list[tuple[int, Seed]]:
        """Return the items of a step, each with a seed of its own."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        order = permutation((self.seed, epoch), self.num_items)
        first = (step_of_epoch * self.processes + self.rank) * self.batch
        return [
            (int(order[place % self.num_items]), (self.seed, epoch, place + 1))
            for place in range(first, first + self.batch)
        ]


@lru_cache(maxsize=2)
def permutation(seed: Seed, num_items: int) -> NDArray[np.int64]:
    """Return the order that a seed gives."""
    return np.random.default_rng(seed).permutation(num_items)
