"""Several processes that learn as one; started by torchrun, on one machine or more."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar('T')


@dataclass(frozen=True)
class Processes:
    """
    Which of how many training processes this is, and where it computes.

    `first` is the one that writes files and talks.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Return whether this one speaks for all."""
        return self.rank == 0


def join(device: str = 'auto') -> Processes:
    """
    Take this process's place as torchrun's variables tell it; alone without them.

    device  'cpu', 'cuda' (the process's own GPU), or 'auto': cuda where there is one

    Raise `ValueError` for another word, or where there is no CUDA device.
    """
    rank, count = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    if device not in ('auto', 'cpu', 'cuda'):
        raise ValueError(f'device must be auto, cpu or cuda, got {device!r}')
    if device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('there is no CUDA device here; train with --device cpu')
    on_gpu = device == 'cuda' or (device == 'auto' and torch.cuda.is_available())
    place = torch.device('cpu')
    if on_gpu:
        place = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0)))
        torch.cuda.set_device(place)
    if count > 1 and not distributed.is_initialized():
        distributed.init_process_group('nccl' if on_gpu else 'gloo')
    return Processes(rank, count, place)


def wait_for_all() -> None:
    """Return when every process is here."""
    if distributed.is_initialized():
        distributed.barrier()


def leave() -> None:
    """End the group, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


@torch.no_grad()
def start_alike(*modules: nn.Module) -> None:
    """Give all processes the first one's weights."""
    if distributed.is_initialized():
        for module in modules:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """
    Give every process the mean of all gradients; a parameter without one counts as zero.

    Also alone, so that weight decay treats such a parameter the same in one process and in many.
    """
    wanted = [p for p in parameters if p.requires_grad]
    for parameter in wanted:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if not distributed.is_initialized():
        return
    grads = [p.grad for p in wanted if p.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def mean_over_processes(count: Tensor) -> Tensor:
    """Return a count's mean over all processes, as float."""
    count = count.float()
    if distributed.is_initialized():
        count = count.clone()
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return count


def agree(wish: int, processes: Processes) -> int:
    """Return the largest wish of all processes, so that all act alike."""
    if not distributed.is_initialized():
        return wish
    largest = torch.tensor(wish, device=processes.device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)


def gather(part: list[T]) -> list[T]:
    """Return the parts of all processes, element i of each before element i + 1 of any."""
    if not distributed.is_initialized():
        return part
    parts: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, part)
    longest = max(len(each) for each in parts)
    return [each[i] for i in range(longest) for each in parts if i < len(each)]
