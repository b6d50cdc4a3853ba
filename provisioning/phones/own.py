"""What each phone has its own of, in a file that is made once for many phones alike."""

from typing import Any


class Own:
    """Stands in for a text, a phone's MAC address say, that a template prints and otherwise leaves alone.

    `printed` is what stands in the file instead. A template that does anything else with it may make other
    files for other phones: then `looks` is no longer empty, and each phone's file has to be made for itself.
    """

    __slots__ = ("looks", "printed")

    def __init__(self, printed: str, looks: list[str]) -> None:
        self.printed, self.looks = printed, looks

    def _look(self, *_: Any) -> Any:
        self.looks.append(self.printed)
        raise TypeError("what a phone has its own of is looked into")

    def __eq__(self, other: object) -> bool:
        """No phone has an empty one, which templates ask for."""
        return other is self or (other is not None and other != "" and bool(self._look()))

    def __add__(self, other: str) -> "Own":
        return Own(self.printed + other, self.looks)

    def __radd__(self, other: str) -> "Own":
        return Own(other + self.printed, self.looks)

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python and jinja2 ask what it can do
            raise AttributeError(name)
        return self._look()

    __str__ = __hash__ = __len__ = __iter__ = __getitem__ = __contains__ = __int__ = __index__ = _look
    __float__ = __mod__ = __rmod__ = __mul__ = __lt__ = __le__ = __gt__ = __ge__ = _look
    __format__ = _look
