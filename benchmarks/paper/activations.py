"""Compare activations on the convex field in two dimensions: elementwise or grouped, polynomial or not, smooth or not.

python benchmarks/paper/activations.py --json activations.json
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from baselines import gradient_of_mlp
from contest import Builder, Training, cascaded, compete, competition, modular, radial, write
from field_2d import convex_field, sample
from torch import nn

from gradprox.networks import (
    Cubic,
    GradNetC,
    GradNetM,
    LinearSpline,
    MGradNetC,
    MGradNetM,
    RationalGating,
    Sigmoid,
    SmoothedNorm,
    Softmax,
    Softplus,
    TanhSum,
)

SIGNED_CUBIC = partial(Cubic, monotone=False)


def mlp_gradient(activation: Callable[[int], nn.Module]) -> Builder:
    """Return a builder of the baseline with another activation."""
    return partial(gradient_of_mlp, activation=activation)


NETWORKS: dict[str, Builder] = {
    # Elementwise and smooth.
    "mGradNet-C (sigmoid)": cascaded(MGradNetC, Sigmoid),
    "mGradNet-C (softplus)": cascaded(MGradNetC, Softplus),
    "mGradNet-C (tanh sum)": cascaded(MGradNetC, TanhSum),
    "mGradNet-M (sigmoid)": modular(MGradNetM, Sigmoid),
    "mGradNet-M (softplus)": modular(MGradNetM, Softplus),
    "mGradNet-M (tanh sum)": modular(MGradNetM, TanhSum),
    # Elementwise and polynomial.
    "mGradNet-C (cubic)": cascaded(MGradNetC, Cubic),
    "mGradNet-M (cubic)": modular(MGradNetM, Cubic),
    "GradNet-C (cubic)": cascaded(GradNetC, SIGNED_CUBIC),
    "GradNet-M (cubic)": modular(GradNetM, SIGNED_CUBIC),
    "MLP gradient (cubic)": mlp_gradient(SIGNED_CUBIC),
    # Elementwise, with kinks.
    "mGradNet-C (spline)": cascaded(MGradNetC, LinearSpline),
    "mGradNet-M (spline)": modular(MGradNetM, LinearSpline),
    # Acting on groups.
    "mGradNet-M (softmax)": modular(MGradNetM, Softmax),
    "mGradNet-M (norm)": modular(MGradNetM, SmoothedNorm),
    "mGradNet-M (energy)": modular(MGradNetM, RationalGating),
    "mGradNet-M (radial)": radial(MGradNetM),
    "GradNet-M (radial)": radial(GradNetM),
    # The baseline with other smooth activations.
    "MLP gradient (softplus)": gradient_of_mlp,
    "MLP gradient (tanh)": mlp_gradient(lambda _: nn.Tanh()),
    "MLP gradient (sigmoid)": mlp_gradient(lambda _: nn.Sigmoid()),
}


def main() -> None:
    """Run the experiment."""
    options = competition(__doc__, 300).parse_args()
    settings = Training(lbfgs_steps=options.steps)
    results = compete(
        NETWORKS,
        2,
        convex_field,
        sample,
        settings,
        budget=options.budget,
        seeds=options.seeds,
        only=options.only,
    )
    write(options.json, {"training": asdict(settings), "results": results})


if __name__ == "__main__":
    main()
