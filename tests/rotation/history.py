"""Whether one order of events explains what clients saw while a token was rotated.

The moment at which a rotation or a change of settings took effect, its cut, is bounded from both sides by
what was answered and what was served, and a body that holds both tells which of two cuts came first. The
history is linearizable exactly when those orders form no circle and no cut must come later than it may.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TypeVar

from tests.rotation.cuts import BEFORE_ALL, NEVER, Bound, Contradiction, Cut, Cuts, Kind
from tests.rotation.operations import Body, Change, Fetch, Look, Operation, Rotation

Some = TypeVar("Some", bound=Operation)


def faults(operations: Iterable[Operation], generation: int = 1, settings: int = 0) -> list[str]:
    """A sentence for each, none when all is well; `generation` and `settings` are those at the beginning."""
    return _History(tuple(operations), generation, settings).faults()


class _History:
    def __init__(self, operations: tuple[Operation, ...], generation: int, settings: int) -> None:
        self.operations = operations
        self.cuts = Cuts()
        self.found: list[str] = []
        self.after: dict[Cut, Cut] = {}  # what took over from what
        self._generations(generation)
        self._settings(settings)

    def faults(self) -> list[str]:
        for fetch in self._all(Fetch):
            self._fetch(fetch)
        for look in self._all(Look):
            self._look(look)
        if circle := self.cuts.circle():
            named = " before ".join(f"{kind} {number}" for kind, number in circle)
            return [*self.found, f"No order explains the bodies: {named}."]
        return [*self.found, *map(_sentence, self.cuts.contradictions())]

    def _all(self, kind: type[Some]) -> Iterator[Some]:
        return (operation for operation in self.operations if isinstance(operation, kind))

    def _chain(self, cuts: Iterable[Cut]) -> None:
        """One after the other, the first before all."""
        cuts = list(cuts)
        for cut in cuts:
            self.cuts.add(cut)
        self.cuts.not_after(cuts[0], BEFORE_ALL)
        for earlier, later in pairwise(cuts):
            self.after[earlier] = later
            self.cuts.order(earlier, later)

    def _generations(self, first: int) -> None:
        made = self._made(first)
        generations = range(first, self._last(first) + 1)
        self._chain(("generation", generation) for generation in generations)
        for generation in generations[1:]:
            cut: Cut = ("generation", generation)
            rotation = made.get(generation)
            self.cuts.not_before(cut, Bound(rotation.begun, rotation) if rotation else NEVER)
            if rotation and rotation.generation is not None:
                self.cuts.not_after(cut, Bound(rotation.ended, rotation))

    def _made(self, first: int) -> Mapping[int, Rotation]:
        """Each generation's rotation. Those that no answer told of were made by rotations without an answer:
        the first of them by the one that began first, which leaves the most room."""
        made: dict[int, Rotation] = {}
        unclear = []
        for rotation in self._all(Rotation):
            if rotation.generation is None:
                unclear.append(rotation)
            elif rotation.generation in made or rotation.generation <= first:
                self.found.append(f"Generation {rotation.generation} was made twice.")
            else:
                made[rotation.generation] = rotation
        untold = [g for g in range(first + 1, self._last(first) + 1) if g not in made]
        return made | dict(zip(untold, sorted(unclear, key=lambda each: each.begun), strict=False))

    def _last(self, first: int) -> int:
        """The last generation that there must have been."""
        fetches = [fetch for fetch in self._all(Fetch) if fetch.served is not None]
        asked = (fetch.generation + (not fetch.served) for fetch in fetches)
        looked = (generation for look in self._all(Look) for generation in look.live)
        told = (rotation.generation or 0 for rotation in self._all(Rotation))
        return max((first, *asked, *looked, *told))

    def _settings(self, first: int) -> None:
        """Those that were answered or seen; of the others none needs to have happened."""
        seen = {number for fetch in self._all(Fetch) if fetch.body for number in fetch.body.settings}
        happened = {
            each.settings: each for each in self._all(Change) if each.answered or each.settings in seen
        }
        self._chain(("settings", number) for number in (first, *sorted(happened)))
        for number, change in happened.items():
            self.cuts.not_before(("settings", number), Bound(change.begun, change))
            if change.answered:
                self.cuts.not_after(("settings", number), Bound(change.ended, change))

    def _fetch(self, fetch: Fetch) -> None:
        own: Cut = ("generation", fetch.generation)
        if fetch.served:
            self._live(own, fetch)
        elif fetch.served is not None and own in self.after:
            self.cuts.not_after(self.after[own], Bound(fetch.ended, fetch))
        if fetch.body:
            self._body(fetch, fetch.body)

    def _body(self, fetch: Fetch, body: Body) -> None:
        said = f"A request that began at {fetch.begun:.6f} with the token of generation {fetch.generation}"
        own = {fetch.generation}
        if body.tokens != own:
            self.found.append(f"{said} was served the token of {_numbers(body.tokens - own)}.")
        if not body.passwords <= own:
            self.found.append(f"{said} was served the password of {_numbers(body.passwords - own)}.")
        if len(body.settings) > 1:
            self.found.append(f"{said} was served a mixture of the settings {_numbers(body.settings)}.")
        for number in body.settings:
            self._live(("settings", number), fetch)
            self._together(("generation", fetch.generation), ("settings", number))

    def _together(self, *live: Cut) -> None:
        """At one moment: each took over before the other was taken over from."""
        for one, other in (live, live[::-1]):
            if one in self.cuts and other in self.after:
                self.cuts.order(one, self.after[other])

    def _look(self, look: Look) -> None:
        if len(look.live) != 1:
            saw = f"A look that began at {look.begun:.6f} saw as current"
            self.found.append(f"{saw}: {_numbers(look.live)}.")
        for generation in look.live:
            self._live(("generation", generation), look)

    def _live(self, cut: Cut, seer: Operation) -> None:
        """It took over by the seer's end, and was not taken over from before the seer's begin."""
        if cut not in self.cuts:
            self.found.append(f"{_capital(_upper(cut, seer))}, which was not to be had.")
            return
        self.cuts.not_after(cut, Bound(seer.ended, seer))
        if cut in self.after:
            self.cuts.not_before(self.after[cut], Bound(seer.begun, seer))


def _sentence(found: Contradiction) -> str:
    """The two facts that exclude each other."""
    if found.least.why is None:
        return f"Nothing made {' '.join(map(str, found.later))}, but {_upper(found.earlier, found.most.why)}."
    lower = _fact(found.later[0], found.least.why, "began", "began at")
    return f"{_capital(lower)}, but {_upper(found.earlier, found.most.why)}."


def _upper(cut: Cut, why: Operation | None) -> str:
    if why is None:
        return f"{' '.join(map(str, cut))} was there from the beginning"
    return _fact(cut[0], why, "ended", "was answered at")


def _fact(kind: Kind, what: Operation, seen: str, done: str) -> str:
    moment = f"{what.begun if seen == 'began' else what.ended:.6f}"
    match what:
        case Rotation(generation=generation):
            return f"the rotation to generation {generation or '?'} {done} {moment}"
        case Change(settings=number):
            return f"the change to settings {number} {done} {moment}"
        case Look(live=live):
            return f"a look that {seen} at {moment} saw generation {_numbers(live)}"
        case Fetch(generation=generation, served=served, body=body):
            told = f"generation {generation}"
            if kind == "settings" and body:
                told = f"settings {_numbers(body.settings)}"
            return f"a request that {seen} at {moment} was {'served' if served else 'refused'} {told}"
    raise TypeError(what)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
