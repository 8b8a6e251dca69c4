"""``gradprox models``: the shipped models and their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli.groups import Report
from gradprox.cli.model_choice import complete_models

if TYPE_CHECKING:
    from rich.table import Table

    from gradprox.zoo import Card

# The test set that every card has, and the noise level of the short table.
TEST_SET, LEVEL = "BSDS32", "25"


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A shipped model, to see all its figures.",
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None,
    *,
    report: Report,
) -> None:
    """List the shipped models, or describe one of them.

    Other commands take these names as --model.

    Examples:
      gradprox models
      gradprox models gray --json gray.json
    """
    from gradprox.zoo import model_names, read_card

    names = model_names() if name is None else [name]
    cards = sorted((read_card(each) for each in names), key=_rank)
    if name is None:
        report.print(_overview(cards))
        report.print(
            f"dB: mean PSNR on {TEST_SET} with noise {LEVEL}/255. time: time of one pass per pixel, relative "
            "to gray-fast. `gradprox models NAME` shows more."
        )
    else:
        report.print(_figures(cards[0]))
        report.print(_description(cards[0]), markup=False)
    report.write({"models": [card.model_dump(mode="json") for card in cards]})


def _rank(card: Card) -> tuple[int, float]:
    """Gray before color, and the best restorations first."""
    return card.channels, -card.psnr[TEST_SET][LEVEL]


def guarantee(card: Card) -> str:
    """Return the guarantee of a model in a few words."""
    if not card.is_prox:
        return "explicit energy, descent by line search"
    if card.lipschitz_bound is not None and card.lipschitz_bound <= 1:
        return "prox of a convex function by construction"
    return "prox by construction"


def _overview(cards: list[Card]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("model", no_wrap=True)
    table.add_column("colors")
    table.add_column("guarantee")
    for heading in ("dB", "time", "MB"):
        table.add_column(heading, justify="right")
    for card in cards:
        table.add_row(
            card.name,
            "gray" if card.channels == 1 else "color",
            guarantee(card),
            f"{card.psnr[TEST_SET][LEVEL]:.2f}",
            f"{card.relative_time:.2g}",
            f"{4e-6 * card.parameters:.2g}",
        )
    return table


def _figures(card: Card) -> Table:
    from rich.table import Table

    table = Table(title=f"{card.name}: {card.summary}", title_justify="left")
    table.add_column("mean PSNR in dB, noise level of 255:")
    levels = list(next(iter(card.psnr.values())))
    for level in levels:
        table.add_column(level, justify="right")
    for test_set, figures in card.psnr.items():
        table.add_row(test_set, *(f"{figures[level]:.2f}" for level in levels))
    return table


def _description(card: Card) -> str:
    low, high = card.noise_range
    bound = card.lipschitz_bound
    return (
        f"{card.guarantee}\nLipschitz constant {'not bounded' if bound is None else f'at most {bound:.3g}'}; "
        f"{card.parameters} parameters; trained for noise of {low:g} to {high:g} of 255 on {card.data}; {card.license}"
    )
