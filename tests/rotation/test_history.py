"""The checker of histories passes what one order of events explains, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rotation.history import faults
from tests.rotation.operations import Body, Change, Fetch, Look, Operation, Rotation
from tests.rotation.orders import explained

History = list[Operation]
ONE = frozenset({1})


def served(begun: float, ended: float, generation: int, *numbers: int) -> Fetch:
    """With a body that holds these settings, if there are any."""
    own = frozenset({generation})
    body = Body(own, own, frozenset(numbers)) if numbers else None
    return Fetch(begun, ended, generation, True, body)


def refused(begun: float, ended: float, generation: int) -> Fetch:
    return Fetch(begun, ended, generation, False)


RIGHT: dict[str, History] = {
    "nothing happens": [],
    "a rotation, the old before it and the new after it": [
        served(0, 1, 1),
        Rotation(2, 3, 2),
        refused(4, 5, 1),
        served(4, 5, 2),
        Look(6, 7, (2,)),
    ],
    "requests that overlap a rotation get either answer": [
        Rotation(2, 9, 2),
        served(1, 8, 1),
        refused(2, 8, 1),
        served(7, 20, 1),
    ],
    "the first to be refused and the last to be served overlap": [
        Rotation(2, 9, 2),
        refused(3, 6, 1),
        served(5, 7, 1),
    ],
    "a rotation without an answer that happened": [
        Rotation(2, 3, None),
        refused(4, 5, 1),
        Look(6, 7, (2,)),
    ],
    "one that did not": [Rotation(2, 3, None), served(4, 5, 1), Rotation(6, 7, 2), served(8, 9, 2)],
    "one that happened late": [Rotation(2, 3, None), Look(4, 5, (1,)), Rotation(6, 7, 3)],
    "a request without an answer": [Rotation(2, 3, 2), Fetch(4, 5, 1, None)],
    "a body that rotation and change overlap": [
        Rotation(0, 9, 2),
        Change(0, 9, 1, True),
        served(1, 8, 1, 1),
        served(1, 8, 2, 1),
    ],
    "a change without an answer that is never seen": [Change(0, 1, 1, False), served(2, 3, 1, 0)],
    "one that is seen, and then the next": [
        Change(0, 1, 1, False),
        served(2, 3, 1, 1),
        Change(4, 5, 2, True),
        served(6, 7, 1, 2),
    ],
}

WRONG: dict[str, tuple[History, str]] = {
    "the old token is served after the rotation was answered": (
        [Rotation(2, 3, 2), served(4, 5, 1)],
        "A request that began at 4.000000 was served generation 1, "
        "but the rotation to generation 2 was answered at 3.000000.",
    ),
    "it is served after a rotation to a later one was answered": (
        [Rotation(1, 9, 2), Rotation(2, 3, 3), served(4, 5, 1)],
        "A request that began at 4.000000 was served generation 1, "
        "but the rotation to generation 3 was answered at 3.000000.",
    ),
    "it is served again after it was refused": (
        [Rotation(2, 9, 2), refused(3, 4, 1), served(5, 6, 1)],
        "A request that began at 5.000000 was served generation 1, "
        "but a request that ended at 4.000000 was refused generation 1.",
    ),
    "the new token is refused after the rotation was answered": (
        [Rotation(2, 3, 2), refused(4, 5, 2)],
        "Nothing made generation 3, but a request that ended at 5.000000 was refused generation 2.",
    ),
    "a token is refused before the rotation that ends it": (
        [refused(0, 1, 1), Rotation(2, 3, 2)],
        "The rotation to generation 2 began at 2.000000, "
        "but a request that ended at 1.000000 was refused generation 1.",
    ),
    "nobody is live": (
        [Rotation(0, 9, 2), Look(2, 3, ())],
        "A look that began at 2.000000 saw as current: none.",
    ),
    "both are live": (
        [Rotation(0, 9, 2), Look(2, 3, (1, 2))],
        "A look that began at 2.000000 saw as current: 1, 2.",
    ),
    "both are served": (
        [Rotation(0, 9, 2), served(1, 2, 2), served(3, 4, 1)],
        "A request that began at 3.000000 was served generation 1, "
        "but a request that ended at 2.000000 was served generation 2.",
    ),
    "the new token is served before the rotation began": (
        [served(0, 1, 2), Rotation(2, 3, 2)],
        "The rotation to generation 2 began at 2.000000, "
        "but a request that ended at 1.000000 was served generation 2.",
    ),
    "a rotation without an answer happens before it began": (
        [Look(0, 1, (2,)), Rotation(2, 3, None)],
        "The rotation to generation ? began at 2.000000, but a look that ended at 1.000000 saw generation 2.",
    ),
    "a rotation without an answer happens and is undone": (
        [Rotation(0, 1, None), Look(2, 3, (2,)), Look(4, 5, (1,))],
        "A look that began at 4.000000 saw generation 1, but a look that ended at 3.000000 saw generation 2.",
    ),
    "two rotations without an answer make three generations": (
        [Rotation(0, 1, None), Rotation(0, 1, None), Look(2, 3, (4,))],
        "Nothing made generation 4, but a look that ended at 3.000000 saw generation 4.",
    ),
    "two rotations make the same generation": (
        [Rotation(0, 1, 2), Rotation(0, 1, 2)],
        "Generation 2 was made twice.",
    ),
    "a body holds another token than the one that was asked with": (
        [Fetch(4, 5, 1, True, Body(frozenset({2})))],
        "A request that began at 4.000000 with the token of generation 1 was served the token of 2.",
    ),
    "a body holds no token": (
        [Fetch(4, 5, 1, True, Body(frozenset()))],
        "A request that began at 4.000000 with the token of generation 1 was served the token of none.",
    ),
    "a body holds the password of another generation": (
        [Fetch(4, 5, 1, True, Body(frozenset({1}), frozenset({2})))],
        "A request that began at 4.000000 with the token of generation 1 was served the password of 2.",
    ),
    "a body mixes settings": (
        [Change(0, 9, 1, True), served(4, 5, 1, 0, 1)],
        "A request that began at 4.000000 with the token of generation 1 was served "
        "a mixture of the settings 0, 1.",
    ),
    "old settings are served after the change was answered": (
        [Change(0, 1, 1, True), served(2, 3, 1, 0)],
        "A request that began at 2.000000 was served settings 0, "
        "but the change to settings 1 was answered at 1.000000.",
    ),
    "old settings are served after new ones were": (
        [Change(0, 9, 1, True), served(1, 2, 1, 1), served(3, 4, 1, 0)],
        "A request that began at 3.000000 was served settings 0, "
        "but a request that ended at 2.000000 was served settings 1.",
    ),
    "settings are served that nobody wrote": (
        [served(4, 5, 1, 7)],
        "A request that ended at 5.000000 was served settings 7, which was not to be had.",
    ),
    "settings are served before they were sent": (
        [served(0, 1, 1, 1), Change(2, 3, 1, True)],
        "The change to settings 1 began at 2.000000, "
        "but a request that ended at 1.000000 was served settings 1.",
    ),
    "new settings come with a token that ended before them": (
        [Rotation(0, 1, 2), Change(2, 8, 1, True), Fetch(0, 9, 1, True, Body(ONE, ONE, ONE))],
        "The change to settings 1 began at 2.000000, "
        "but the rotation to generation 2 was answered at 1.000000.",
    ),
    "bodies disagree on what came first": (
        [Rotation(0, 9, 2), Change(0, 9, 1, True), served(0, 9, 1, 1), served(0, 9, 2, 0)],
        "No order explains the bodies: generation 2 before settings 1 before generation 2.",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_it_passes_when(name: str) -> None:
    assert faults(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_it_is_a_fault_when(name: str) -> None:
    history, sentence = WRONG[name]
    assert sentence in faults(history)


@st.composite
def lived(draw: st.DrawFn, *, steps: int = 30, unclear: bool = True) -> History:
    """What a server that does everything in one moment lets its clients see."""
    generation, number, history = 1, 0, list[Operation]()
    for step in range(0, 10 * draw(st.integers(1, steps)), 10):
        when = (step - draw(st.integers(0, 40)), step + draw(st.integers(0, 40)))
        answered, happens = not unclear or draw(st.booleans()), draw(st.booleans())
        match draw(st.sampled_from(["fetch", "fetch", "fetch", "look", "rotation", "change"])):
            case "fetch":
                asked = draw(st.integers(max(1, generation - 2), generation))
                live = asked == generation
                history.append(served(*when, asked, number) if live else refused(*when, asked))
            case "look":
                history.append(Look(*when, (generation,)))
            case "rotation":
                generation += answered or happens
                history.append(Rotation(*when, generation if answered else None))
            case "change":
                change = Change(*when, len(history) + 1, answered)
                number = change.settings if answered or happens else number
                history.append(change)
    return history


@st.composite
def almost_lived(draw: st.DrawFn) -> History:
    """With up to three operations that were told wrong."""
    history = draw(lived(steps=7))
    for index in draw(st.lists(st.integers(0, len(history) - 1), max_size=3)) if history else ():
        history[index] = draw(st.sampled_from(told_wrong(history[index], draw(st.integers(-1, 1)))))
    return history


def told_wrong(told: Operation, off: int) -> History:
    late = 10 * off
    moved = replace(told, begun=told.begun + late, ended=told.ended + late)
    match told:
        case Fetch(generation=generation):
            numbers = sorted(told.body.settings) if told.body else [0]
            body = Body(own := frozenset({generation}), own, frozenset({numbers[0] + off}))
            other = max(1, generation + off)
            return [moved, replace(told, served=True, body=body), refused(told.begun, told.ended, other)]
        case Rotation(generation=int(generation)):
            return [moved, replace(told, generation=generation + off)]
        case Look(live=(generation,)):
            return [moved, replace(told, live=(generation + off,))]
    return [moved]


@settings(deadline=None, max_examples=500)
@given(almost_lived())
def test_a_history_passes_exactly_when_trying_every_order_finds_one_that_explains_it(
    history: History,
) -> None:
    assert (faults(history) == []) == explained(history)


@settings(deadline=None)
@given(lived())
def test_what_happened_passes(history: History) -> None:
    assert faults(history) == []


@settings(deadline=None)
@given(lived(), st.data())
def test_what_happened_and_one_old_token_served_after_its_end_does_not(
    history: History, data: st.DataObject
) -> None:
    rotations = [each for each in history if isinstance(each, Rotation) and each.generation]
    if not rotations:
        return
    rotation = data.draw(st.sampled_from(rotations))
    late = rotation.ended + data.draw(st.integers(1, 50))
    old = data.draw(st.integers(1, (rotation.generation or 0) - 1))
    assert faults([*history, served(late, late + 5, old)])


@settings(deadline=None)
@given(lived(unclear=False))
def test_what_happened_and_the_live_token_refused_does_not(history: History) -> None:
    late = max((each.ended for each in history), default=0.0) + 1
    live = max((each.generation or 1 for each in history if isinstance(each, Rotation)), default=1)
    assert faults([*history, refused(late, late + 1, live)])
    assert faults([*history, refused(late, late + 1, live), Rotation(late + 2, late + 3, live + 1)])
