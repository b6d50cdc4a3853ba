"""The board as a CSV file, for the walk to the phones that are not back."""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from provisioning.board import Board, Phone, Place
from provisioning.fields import colons
from provisioning.spreadsheet import guarded

COLUMNS: Final = (
    "location",
    "name",
    "mac",
    "vendor",
    "model",
    "lines",
    "state",
    "last_fetch_at",
    "last_fetch_ip",
    "refused_at",
    "refused_ip",
    "refused_generation",
    "note",
    "ticked_at",
    "ticked_by",
)


async def export(board: Board) -> str:
    """The phones of the board in its order, those without a location last."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for place in board.locations:
        writer.writerows([_cell(value) for value in _values(place, phone)] for phone in place.devices)
        await asyncio.sleep(0)  # thousands at once would hold up all else
    return text.getvalue()


def _values(place: Place, phone: Phone) -> Iterator[object]:
    yield from (place.name, phone.name, colons(phone.mac), phone.vendor, phone.model)
    yield from (" ".join(phone.lines), phone.state)
    yield from (phone.last_fetch_at, phone.last_fetch_ip)
    yield from (phone.refused_at, phone.refused_ip, phone.refused_generation)
    yield from (phone.note, phone.ticked_at, phone.ticked_by)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return "" if value is None else guarded(str(value))
