"""Cuts: the moments at which one value took over from another, with all that is known of when."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import inf
from typing import Final, Literal

from tests.rotation.operations import Operation

Kind = Literal["generation", "settings"]
Cut = tuple[Kind, int]  # the moment at which this generation, or these settings, took over


@dataclass(frozen=True, slots=True)
class Bound:
    """`why` is what was done or seen at the moment; None where nothing was."""

    moment: float
    why: Operation | None


NEVER: Final = Bound(inf, None)
BEFORE_ALL: Final = Bound(-inf, None)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`later` cannot have come before `least`, and `earlier`, or the same cut, must have by `most`."""

    later: Cut
    least: Bound
    earlier: Cut
    most: Bound


class Cuts:
    def __init__(self) -> None:
        self._before: dict[Cut, set[Cut]] = {}
        self._least: dict[Cut, tuple[Bound, Cut]] = {}
        self._most: dict[Cut, tuple[Bound, Cut]] = {}

    def __contains__(self, cut: Cut) -> bool:
        return cut in self._before

    def add(self, cut: Cut) -> None:
        self._before[cut] = set()
        self._least[cut], self._most[cut] = (BEFORE_ALL, cut), (NEVER, cut)

    def order(self, earlier: Cut, later: Cut) -> None:
        self._before[later].add(earlier)

    def not_before(self, cut: Cut, bound: Bound, at: Cut | None = None) -> None:
        if bound.moment > self._least[cut][0].moment:
            self._least[cut] = bound, at or cut

    def not_after(self, cut: Cut, bound: Bound, at: Cut | None = None) -> None:
        if bound.moment < self._most[cut][0].moment:
            self._most[cut] = bound, at or cut

    def circle(self) -> list[Cut]:
        """Cuts of which each comes before the next, and the last before the first; none when all is well."""
        try:
            TopologicalSorter(self._before).prepare()
        except CycleError as error:
            return [*error.args[1]]
        return []

    def contradictions(self) -> Iterator[Contradiction]:
        """Each pair of bounds once that no moments satisfy. There must be no circle."""
        order = [*TopologicalSorter(self._before).static_order()]
        for cut in order:
            for earlier in self._before[cut]:
                self.not_before(cut, *self._least[earlier])
        for cut in reversed(order):
            for earlier in self._before[cut]:
                self.not_after(earlier, *self._most[cut])
        found: dict[tuple[Bound, Bound], Contradiction] = {}
        for cut in order:
            (least, earlier), (most, later) = self._least[cut], self._most[cut]
            if least.moment > most.moment:
                found.setdefault((least, most), Contradiction(earlier, least, later, most))
        yield from found.values()
