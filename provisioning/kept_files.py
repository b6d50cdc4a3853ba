"""Files that were made for phones, kept in memory for the next request, the longest unused dropped first."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from provisioning.devices import Device
from provisioning.sightings import Held


@dataclass(frozen=True, slots=True)
class KeptFile:
    """`device` is the one whose file it is, None for one that phones share. `told` is the generation of the
    next provisioning URL, where the content names it; `held` belongs to a main file."""

    content: bytes
    content_type: str
    config_hash: str
    device: Device | None
    told: int | None = None
    held: Held | None = None


class KeptFiles:
    """`most` is in bytes of content. A key says all that the content follows from."""

    def __init__(self, most: int = 64 * 1024 * 1024) -> None:
        self._most = most
        self._size = 0
        self._files: OrderedDict[Hashable, KeptFile] = OrderedDict()

    def get(self, key: Hashable) -> KeptFile | None:
        file = self._files.get(key)
        if file is not None:
            self._files.move_to_end(key)
        return file

    def put(self, key: Hashable, file: KeptFile) -> None:
        if key in self._files:
            return
        self._files[key] = file
        self._size += len(file.content)
        while self._size > self._most:
            _, dropped = self._files.popitem(last=False)
            self._size -= len(dropped.content)
