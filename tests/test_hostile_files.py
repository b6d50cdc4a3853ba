"""Files that people give: an account file and a CSV file with hostile cells, each fault with its place."""

import csv
import io
import re
from typing import Final

import pytest

from provisioning import device_csv
from provisioning.errors import Invalid
from tests.conftest import House
from tests.hostile import EVERY, LONG

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
NAME: Final = 'name = "Portland"'
WORST: Final = ("\n", "\x00", "\x1b[2J", "\u2028", "\ud800", '"' * 3, "a,b", LONG)
# What a text of TOML cannot hold at all, so that the file is none.
_IN_NO_TOML: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def basic(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def faults(house: House, text: str) -> list[str]:
    try:
        await house.load(text)
    except Invalid as error:
        return [str(fault) for fault in error.errors]
    return []


@sqlite
async def test_a_hostile_text_in_an_account_file_is_taken_or_refused_with_its_line(
    house: House, sample: str
) -> None:
    line = sample[: sample.index(NAME)].count("\n") + 1
    for text in (*EVERY[::5], *WORST):
        told = await faults(house, sample.replace(NAME, f"name = {basic(text)}", 1))
        if _IN_NO_TOML.search(text):
            assert len(told) == 1 and f"at line {line}, column" in told[0], (text, told)
        else:
            # Of the location's old name there is none for the phones.
            places = rf"line {line}: locations\[0\]\.name: |line \d+: devices\[\d+\]\.location: "
            assert all(re.match(places, fault) for fault in told), (text, told)
        assert all(fault.isprintable() and len(fault) < 300 for fault in told), told


@sqlite
async def test_the_line_of_a_fault_is_the_files_whatever_its_texts_hold(house: House, sample: str) -> None:
    """U+2028 and its like end no line of TOML, though Python counts them as the ends of lines."""
    (right,) = await faults(house, sample.replace('number = "4201"', 'number = "x"', 1))
    odd = f"# a\u2028b\u2029c\x85d\n{sample}"
    (found,) = await faults(house, odd.replace('number = "4201"', 'number = "x"', 1))
    number = int(right.split(":")[0].removeprefix("line "))
    assert found == right.replace(f"line {number}:", f"line {number + 1}:")


@sqlite
async def test_escapes_of_what_is_no_character_are_refused_in_an_account_file(
    house: House, sample: str
) -> None:
    for escape in ("\\ud800", "\\u0000", "\\udfff", "\\U00110000", "\\x00", "\\u2028", "\\u000a"):
        told = await faults(house, sample.replace(NAME, f'name = "a{escape}b"', 1))
        assert len(told) == 1 and re.search(r"\bline \d+", told[0]), (escape, told)


@sqlite
async def test_a_hostile_cell_of_a_csv_file_is_taken_or_refused_with_its_line_and_column(
    house: House, sample: str
) -> None:
    account_id = (await house.load(sample)).account_id
    for index, column in enumerate(device_csv.COLUMNS):
        for text in (*EVERY[index :: len(device_csv.COLUMNS)], *WORST):
            row = {"mac": "805ec0aabbcc", "model": "T46S"} | {column: text}
            told = await imported(house, account_id, written(row))
            places = rf"line \d+: ({column}|is no CSV|model|vendor|outbound_number)\b"
            assert all(re.match(places, fault) for fault in told), (column, text, told)
            assert all(fault.isprintable() and len(fault) < 400 for fault in told), told


def written(row: dict[str, str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row))
    writer.writeheader()
    writer.writerow(row)
    return text.getvalue()


async def imported(house: House, account_id: str, text: str) -> list[str]:
    """The faults of the file, of which nothing is kept."""
    try:
        async with house.database.write() as session:
            await device_csv.import_(session, house.rendering, account_id, text)
            raise Invalid(())
    except Invalid as error:
        return [str(fault) for fault in error.errors]
