"""Measure time and memory against the dimension, for networks with ``4 dim^2`` parameters.

Flops of matrix products, and bytes that a forward pass keeps for training, are counted for one input. Milliseconds
are measured for a batch of 256, in single precision on one thread.

python benchmarks/paper/scaling.py --json scaling.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contest import BASELINES, CONVEX_BASELINES, GENERAL, MONOTONE, Builder, matched, parameters, write
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

BATCH = 256
NETWORKS: dict[str, Builder] = {
    **{name: MONOTONE[name] for name in ("mGradNet-C (tanh sum)", "mGradNet-M (softmax)")},
    "GradNet-M (radial)": GENERAL["GradNet-M (radial)"],
    **CONVEX_BASELINES,
    **BASELINES,
}


class MatrixProducts(TorchDispatchMode):
    """Counts the flops of matrix products.

    torch's own `FlopCounterMode` uses module hooks, which forbid a gradient inside a forward pass.
    """

    flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count it."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        return out


def saved_for_backward(network: nn.Module, x: Tensor) -> int:
    """Return the bytes, without the weights, that a forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = network(x)
    del output
    return sum(kept.values())


def milliseconds(call: Callable[[], object], repeats: int = 7) -> float:
    """Return the median time of a call in milliseconds."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(times)


def measure(build: Builder, dim: int, budget: int) -> dict[str, float]:
    """Return the costs of one network, forward and in training."""
    torch.manual_seed(0)
    network = build(dim, matched(build, dim, budget))
    x = torch.randn(BATCH, dim)

    def forward() -> None:
        with torch.no_grad():
            network(x)

    def train() -> None:
        network(x).square().mean().backward()

    operations = []
    for call in (forward, train):
        with MatrixProducts() as counter:
            call()
        operations.append(counter.flops / BATCH)
    return {
        "parameters": parameters(network),
        "forward_flops": operations[0],
        "training_flops": operations[1],
        "saved_bytes": saved_for_backward(network, x) / BATCH,
        "forward_ms": milliseconds(forward),
        "training_ms": milliseconds(train),
    }


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[32, 128, 512, 1024])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    columns = f"{'flops':>11}{'training':>11}{'bytes':>10}{'ms':>9}{'training':>9}"
    print(f"{'network':<32}{'dim':>6}{'parameters':>11}{columns}")  # noqa: T201
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, build in NETWORKS.items():
        results[name] = {}
        for dim in options.dims:
            costs = results[name][str(dim)] = measure(build, dim, 4 * dim**2)
            print(  # noqa: T201
                f"{name:<32}{dim:>6}{costs['parameters']:>11}{costs['forward_flops']:>11.3g}"
                f"{costs['training_flops']:>11.3g}{costs['saved_bytes']:>10.0f}"
                f"{costs['forward_ms']:>9.2f}{costs['training_ms']:>9.2f}",
                flush=True,
            )
    write(options.json, {"batch": BATCH, "results": results})


if __name__ == "__main__":
    main()
