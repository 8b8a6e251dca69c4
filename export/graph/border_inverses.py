"""Inverses of matrices of hidden lines as nodes of a graph, for the preconditioner of the fits of a valid blur.

`gradprox.export.graph.hidden_lines` has the formulas. A fit needs the inverses for its own weight, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from onnx import NodeProto, TensorProto, helper
from torch import Tensor, nn
from torch.export import Dim

from gradprox.export.graph.fit_steps import Measured, Tensors
from gradprox.export.graph.fourier_blur import FourierBlur
from gradprox.export.graph.hidden_lines import Pair, Predictor, first_predictor, inverses, next_predictor
from gradprox.export.graph.loop import Carried, loop_around
from gradprox.export.graph.problem import BORDERS, Deblurring
from gradprox.export.graph.solver_graph import DOUBLE
from gradprox.export.graph.tracing import Example, Piece
from gradprox.physics.convolution_fit import MOST_LINES

if TYPE_CHECKING:
    from gradprox.export.graph.parts import Parts

PREDICTOR = ("predictor_real", "predictor_imag", "predictor_error")
COUPLINGS = ("coupling_real", "coupling_imag")
ROW_NUMBERS, COLUMN_NUMBERS, *INVERSES = BORDERS


class LineCouplings(Measured):
    """The matrices of hidden rows and of hidden columns."""

    def forward(self, weight: Tensor, rows: Tensor, columns: Tensor, known: Tensors) -> tuple[Tensor, ...]:
        """Return real and imaginary parts, of rows and then of columns; see `FourierBlur.couplings`."""
        blur = cast(FourierBlur, self.equations(known))  # a valid blur is one
        by_rows, by_columns = blur.couplings(weight, rows, columns)
        return *by_rows, *by_columns


class FirstPredictor(nn.Module):
    """The part before Levinson's recursion."""

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, ...]:
        """Return the predictor of one line."""
        return tuple(first_predictor(Pair(real, imag)))


class NextPredictor(nn.Module):
    """One step of the recursion."""

    def forward(
        self, real: Tensor, imag: Tensor, error: Tensor, couplings: Tensors, number: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the predictor of a further line."""
        return tuple(next_predictor(Predictor(real, imag, error), Pair(*couplings), number))


class Inverses(nn.Module):
    """The part after the recursion."""

    def forward(self, real: Tensor, imag: Tensor, error: Tensor) -> Tensor:
        """Return the inverses."""
        return inverses(Predictor(real, imag, error))


def border_pieces(problem: Deblurring) -> dict[str, Piece]:
    """Return the modules of these inverses."""
    found = tuple(f"{axis}_{part}" for axis in ("row", "column") for part in ("real", "imag"))
    return {
        "couplings": Piece(
            LineCouplings(problem), ("weight", ROW_NUMBERS, COLUMN_NUMBERS, problem.known), found
        ),
        "first_predictor": Piece(FirstPredictor(), COUPLINGS, tuple(f"first_{v}" for v in PREDICTOR)),
        "next_predictor": Piece(
            NextPredictor(), (*PREDICTOR, COUPLINGS, "number"), tuple(f"new_{v}" for v in PREDICTOR)
        ),
        "inverses": Piece(Inverses(), PREDICTOR, ("inverse",)),
    }


def border_examples() -> dict[str, Example]:
    """Return the inputs of modules that no other part has; they are those of the kernel of `Frame`, 4x5 pixels."""
    frequencies, counts = (9, 15), (3, 4)
    lines = torch.ones(2, frequencies[0], counts[0], dtype=torch.float64)
    every = {0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO}
    return {
        **{
            name: Example(torch.arange(count), {0: Dim.AUTO})
            for name, count in zip((ROW_NUMBERS, COLUMN_NUMBERS), counts, strict=True)
        },
        **{
            name: Example(
                torch.eye(2 * count, dtype=torch.float64).expand(2, number, -1, -1), {**every, 3: Dim.AUTO}
            )
            for name, number, count in zip(INVERSES, frequencies, counts, strict=True)
        },
        **dict.fromkeys((*PREDICTOR[:2], *COUPLINGS), Example(lines, every)),
        "predictor_error": Example(lines[..., 0], {0: Dim.AUTO, 1: Dim.AUTO}),
        "number": Example(torch.tensor(3), {}),
    }


def line_numbers(parts: Parts) -> list[NodeProto]:
    """Return the nodes that count the hidden lines of the preconditioner, and number them from 0."""
    nodes = []
    for name, number in (("zero", 0), ("one", 1), ("most_lines", MOST_LINES)):
        parts.frame.constants[name] = helper.make_tensor(name, TensorProto.INT64, [], [number])
    for dim, numbers in ((2, ROW_NUMBERS), (3, COLUMN_NUMBERS)):
        size, length, hidden, count = (f"{numbers}/{name}" for name in ("size", "length", "hidden", "count"))
        nodes += [
            helper.make_node("Shape", ["kernel"], [size], name=size, start=dim, end=dim + 1),
            helper.make_node("Squeeze", [size], [length], name=length),
            helper.make_node("Sub", [length, "one"], [hidden], name=hidden),
            helper.make_node("Min", [hidden, "most_lines"], [count], name=count),
            helper.make_node("Range", ["zero", count, "one"], [numbers], name=numbers),
        ]
    return nodes


def inverse_nodes(parts: Parts, scope: str, given: Mapping[str, str]) -> list[NodeProto]:
    """Return the nodes that compute ``SCOPE/NAME`` for the names of `INVERSES`; ``given`` has that of ``weight``."""
    nodes = parts.place("couplings", scope, given)
    for axis, numbers, inverse in zip(
        ("row", "column"), (ROW_NUMBERS, COLUMN_NUMBERS), INVERSES, strict=True
    ):
        inside = f"{scope}/{axis}"
        names = {name: f"{scope}/{name.replace('coupling', axis)}" for name in COUPLINGS}
        step = parts.place("next_predictor", inside, names)
        step.append(helper.make_node("Identity", ["begin"], [f"{inside}/goes_on"], name=f"{inside}/goes_on"))
        nodes += [
            *parts.place("first_predictor", inside, names),
            loop_around(
                step,
                inside,
                steps=f"{numbers}/count",
                begin="begin",
                go_on=f"{inside}/goes_on",
                carried=[
                    Carried(
                        f"{inside}/first_{v}",
                        f"{inside}/{v}",
                        f"{inside}/new_{v}",
                        f"{inside}/last_{v}",
                        DOUBLE,
                    )
                    for v in PREDICTOR
                ],
            ),
            *parts.place(
                "inverses",
                inside,
                {**{v: f"{inside}/last_{v}" for v in PREDICTOR}, "inverse": f"{scope}/{inverse}"},
            ),
        ]
    return nodes
