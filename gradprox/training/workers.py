"""Data-parallel training under ``torchrun``: each process computes its share of the same global batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from gradprox.errors import InputError


@dataclass(frozen=True)
class Workers:
    """The processes of a training.

    Attributes:
        count: number of processes.
        rank: number of this process; process 0 writes files and validates.
    """

    count: int = 1
    rank: int = 0

    def share(self, batch_size: int) -> slice:
        """Return this process's part of a batch.

        Raises:
            InputError: the batch cannot be divided evenly; the mean of the processes' gradients would not be the
                gradient of the batch.
        """
        if batch_size % self.count:
            raise InputError(f"batch_size {batch_size} cannot be divided among {self.count} processes evenly")
        size = batch_size // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its mean over the processes, in one exchange."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, mean in zip(
            gradients, (flat / self.count).split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))

    def average(self, value: torch.Tensor) -> float:
        """Return the mean of a number over the processes."""
        value = value.detach().clone()
        if self.count > 1:
            distributed.all_reduce(value)
        return float(value) / self.count

    def wait(self) -> None:
        """Wait until every process has reached this point."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def workers(device: torch.device | str) -> Iterator[Workers]:
    """Join the other processes that ``torchrun`` started; without it, there is one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Workers(distributed.get_world_size(), distributed.get_rank())
    finally:
        distributed.destroy_process_group()
