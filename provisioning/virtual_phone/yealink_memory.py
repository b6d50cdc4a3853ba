"""What a Yealink keeps from one boot to the next."""

import hashlib
from collections.abc import Mapping, Sequence

from provisioning.virtual_phone.yealink_files import CLEARING, Pair, slot_of


class Memory:
    """Settings stay until they are cleared or sent anew; a boot file may reset all that it does not send.

    Firmware before V81 knows no `static.` names, and takes a blank value for a cleared one.
    """

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._held: dict[Pair, str] = {}
        self._digests: dict[str, str] = {}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple((name, value) for (name, _), value in self._held.items())

    def password(self, name: str, user: str) -> str | None:
        """`name` is the setting that holds a password for each user."""
        held = self._held.get((name, user))
        return held and held.partition(":")[2]

    def take(
        self, files: Mapping[str, Sequence[Pair]], contents: Mapping[str, bytes], *, overwrite: bool
    ) -> tuple[str, ...]:
        """Takes the files' settings in, and names those files that are not the same as before.

        `contents` are the bytes of `files` and of the boot file.
        """
        digests = {name: hashlib.md5(c, usedforsecurity=False).hexdigest() for name, c in contents.items()}
        changed = tuple(name for name, digest in digests.items() if self._digests.get(name) != digest)
        self._digests |= digests
        anew = overwrite and bool(changed)
        if anew:
            self._held = {slot: value for slot, value in self._held.items() if slot[0].startswith("static.")}
        # Of one setting in several files the last counts, also where that file is skipped as unchanged.
        last = {slot_of(pair): (file, pair) for file, pairs in files.items() for pair in pairs}
        for slot, (file, (name, value)) in last.items():
            if anew or file in changed:
                self._set(slot, name, value, blank_clears=overwrite or self._generation < 81)
        return changed

    def _set(self, slot: Pair, name: str, value: str, *, blank_clears: bool) -> None:
        static = name.startswith("static.")
        if static and self._generation < 81:
            return
        if value in CLEARING or (not value and blank_clears and not static):
            self._held.pop(slot, None)
        elif value:
            self._held[slot] = value
