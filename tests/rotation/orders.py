"""The meaning of linearizable, word for word: some order of the operations, tried one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from tests.rotation.operations import Change, Fetch, Look, Operation, Rotation


@dataclass(frozen=True, slots=True)
class State:
    generation: int = 1
    settings: int = 0


def explained(operations: Sequence[Operation]) -> bool:
    """Takes time that grows with the factorial of their number."""
    return _continues(tuple(operations), State())


def _continues(left: tuple[Operation, ...], state: State) -> bool:
    if all(map(_unclear, left)):
        return True
    first = min(map(_end, left))
    for index, operation in enumerate(left):
        if operation.begun > first:
            continue  # another had ended before
        rest = left[:index] + left[index + 1 :]
        if any(_continues(rest, after) for after in _after(operation, state)):
            return True
    return False


def _unclear(operation: Operation) -> bool:
    match operation:
        case Rotation(generation=None) | Change(answered=False) | Fetch(served=None):
            return True
    return False


def _end(operation: Operation) -> float:
    """What got no answer may happen late."""
    return inf if _unclear(operation) else operation.ended


def _after(operation: Operation, state: State) -> Iterator[State]:
    """The states in which it can leave this one, none when it cannot have happened in it."""
    match operation:
        case Rotation(generation=generation) if generation in (None, state.generation + 1):
            yield State(state.generation + 1, state.settings)
        case Change(settings=number) if number > state.settings:
            yield State(state.generation, number)
        case Look(live=(generation,)) if generation == state.generation:
            yield state
        case Fetch(served=True, generation=generation, body=body) if generation == state.generation:
            if body is None or body.settings == {state.settings}:
                yield state
        case Fetch(served=False, generation=generation) if generation < state.generation:
            yield state
