"""The time left of work in steps, from the times of the finished steps and the relative costs of the others."""

from __future__ import annotations

from collections.abc import Sequence


class TimeLeft:
    """Estimates the time left.

    The seconds per unit of cost are an exponential average over the finished steps, in which each step halves the
    weight of those before it. The first report is forgotten when the second comes, because it includes reading.

    Args:
        costs: relative costs of the steps.
        now: the time when the work begins, in seconds.
    """

    def __init__(self, costs: Sequence[float], now: float) -> None:
        self._costs, self._done, self._at = costs, 0.0, now
        self._rate, self._reports = 0.0, 0

    def begin(self, done: float, now: float, costs: Sequence[float] | None = None) -> None:
        """Go on after a number of steps, without regard to the time that they took, perhaps with other costs."""
        self._done, self._at = done, now
        self._costs = self._costs if costs is None else costs

    def advance(self, done: float, now: float) -> None:
        """Receive the number of finished steps; it may have a fraction."""
        cost = self._cost(self._done, done)
        if cost <= 0:
            return
        weight = 0.5 ** (done - self._done) if self._reports > 1 else 0.0
        self._rate = weight * self._rate + (1 - weight) * (now - self._at) / cost
        self._reports += 1
        self._done, self._at = done, now

    def seconds(self, now: float) -> float | None:
        """Return the time left; None as long as it is unknown."""
        if not self._reports:
            return None
        step = self._cost(self._done, int(self._done) + 1)
        left = self._cost(self._done, len(self._costs)) * self._rate
        return left - min(max(now - self._at, 0.0), step * self._rate)

    def _cost(self, begin: float, end: float) -> float:
        """Return the cost of the steps between two numbers, which may have fractions."""
        return sum(cost * max(0.0, min(end, i + 1) - max(begin, i)) for i, cost in enumerate(self._costs))
