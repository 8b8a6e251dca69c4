"""``gradprox models``: the shipped models and their figures."""

from __future__ import annotations

from gradprox.cli.groups import Report
from gradprox.cli.terminal import console
from gradprox.files import write_json


def models(report: Report) -> None:
    """List the shipped models, with their figures and guarantees.

    Example:
      gradprox models --json models.json
    """
    from gradprox.zoo import model_names, read_card

    cards = [read_card(name) for name in model_names()]
    if not report.quiet:
        from rich.table import Table

        for card in cards:
            table = Table(title=f"{card.name}: {card.summary}", title_justify="left")
            table.add_column("mean PSNR in dB, noise level of 255:")
            levels = list(next(iter(card.psnr.values())))
            for level in levels:
                table.add_column(level, justify="right")
            for test_set, figures in card.psnr.items():
                table.add_row(test_set, *(f"{figures[level]:.2f}" for level in levels))
            console().print(table)
            low, high = card.noise_range
            bound = card.lipschitz_bound
            console().print(
                f"{card.guarantee}\nLipschitz constant {'not bounded' if bound is None else f'at most {bound:.3g}'}; "
                f"{card.parameters} "
                f"parameters; trained for noise of {low:g} to {high:g} of 255 on {card.data}; {card.license}\n"
            )
    if report.json:
        write_json(report.json, {"models": [card.model_dump(mode="json") for card in cards]})
