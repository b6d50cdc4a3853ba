"""Previews: which phones would get other files if something of the account were changed, and how.

A change is a pair of values in memory; nothing is written. Phones that are alike but for whose they are have
their files made once, with `Own` in the place of what each has its own of.
"""

import asyncio
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import extensions, fleet, gathering
from provisioning.accounts import Account
from provisioning.devices import MASK, Device, Rendering, provisioning_url
from provisioning.errors import RenderError
from provisioning.extensions import Extension
from provisioning.fleet import Kind, Member
from provisioning.gathering import Shared
from provisioning.phones.own import Own
from provisioning.phones.phone import Phone
from provisioning.phones.vendor import Vendor

_ANOTHER: Final = f"{MASK} (another)"
_PLACES: Final = ("«number of line {}»", "«name of line {}»", "«user name of line {}»")
_MAC: Final = "«mac»"


def shared(account: Account) -> Shared:
    """What the phones of an account share, without its secrets."""
    return Shared(account, MASK)


@dataclass(frozen=True, slots=True)
class Change:
    """What phones share before and after. `device` is, where one device alone changes, as it is and as it
    would be; `template_id` where only phones with that template can change."""

    before: Shared
    after: Shared
    device: tuple[Device, Device] | None = None
    template_id: str = ""

    def reversed(self) -> "Change":
        """The way back."""
        device = self.device and (self.device[1], self.device[0])
        return replace(self, before=self.after, after=self.before, device=device)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """`name` is that of one phone, with `«mac»` where it is that of several. `diff` has the lines that go and
    those that come, with `@@` between places."""

    name: str
    diff: str


@dataclass(frozen=True, slots=True)
class Group:
    files: tuple[FileDiff, ...]
    phones: list[Member] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Failure:
    """Phones whose files cannot be made after the change; `already` is whether they could not be before."""

    reason: str
    already: bool
    phones: list[Member] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Preview:
    """The groups and the failures with the most phones first."""

    groups: Sequence[Group]
    failures: Sequence[Failure]

    @property
    def changed(self) -> int:
        return sum(len(group.phones) for group in self.groups)


Texts = Mapping[str, str]  # by suffix
Made = Texts | RenderError


class _Found:
    """What has been seen so far, by diff and by reason."""

    def __init__(self) -> None:
        self.groups: dict[tuple[FileDiff, ...], Group] = {}
        self.failures: dict[tuple[str, bool], Failure] = {}

    def add(self, files: tuple[FileDiff, ...], phones: Iterable[Member]) -> None:
        if files and (phones := list(phones)):
            self.groups.setdefault(files, Group(files)).phones.extend(phones)

    def fail(self, why: RenderError, before: Made, phones: Iterable[Member]) -> None:
        key = str(why), isinstance(before, RenderError)
        self.failures.setdefault(key, Failure(*key)).phones.extend(phones)

    def preview(self) -> Preview:
        groups = sorted(self.groups.values(), key=lambda group: -len(group.phones))
        failures = sorted(self.failures.values(), key=lambda f: (f.already, -len(f.phones)))
        return Preview(groups, failures)


async def preview(session: AsyncSession, rendering: Rendering, account_id: str, change: Change) -> Preview:
    """What the change would do, as of this transaction."""
    found = _Found()
    if change.device:
        await _one(session, rendering, account_id, change, change.device, found)
    elif change.before != change.after:
        for kind in await fleet.kinds(session, account_id, template_id=change.template_id):
            for shared in (change.before, change.after):
                if not shared.suffices(kind.device):
                    await gathering.add_to(session, shared, kind.device)
            await _kind(rendering, change, kind, found)
            await asyncio.sleep(0)  # phones that fetch meanwhile do not wait
    return found.preview()


async def _kind(rendering: Rendering, change: Change, kind: Kind, found: _Found) -> None:
    vendor = rendering.vendors[kind.device.vendor]
    looks: list[str] = []
    before, after = _pair(rendering, change, kind, looks)
    if before == after and isinstance(before, Phone):
        return
    texts = _texts(vendor, before), _texts(vendor, after)
    if looks:  # a template looks into what is the phone's own: each has to be made for itself
        for member in kind.members:
            real = [
                _assembled(rendering, shared, kind.device, member.mac, member.lines, kind.voicemail)
                for shared in (change.before, change.after)
            ]
            made = _texts(vendor, real[0]), _texts(vendor, real[1])
            _tell(found, *made, (_MAC, _MAC), [member], _general(member))
            await asyncio.sleep(0)
        return
    phones, unfit = _fit(vendor, kind.members)
    for member, why in unfit:
        found.fail(why, why, [member])
    if isinstance(texts[1], RenderError):
        found.fail(texts[1], texts[0], phones)
        return
    files = _diffs(texts[0], texts[1], (_MAC, _MAC))
    found.add(files, (member for member in phones if _differs(vendor, files, member)))


def _pair(
    rendering: Rendering, change: Change, kind: Kind, looks: list[str]
) -> tuple[Phone | RenderError, Phone | RenderError]:
    """The phones of this kind as one, before and after."""
    mac = Own(_MAC, looks)
    lines = [
        tuple(Own(place.format(index), looks) for place in _PLACES)
        for index in range(1, len(kind.voicemail) + 1)
    ]
    before, after = (
        _assembled(rendering, shared, kind.device, mac, lines, kind.voicemail)
        for shared in (change.before, change.after)
    )
    return before, after


def _assembled(
    rendering: Rendering,
    shared: Shared,
    device: Device,
    mac: str | Own,
    lines: Sequence[Sequence[str | Own]],
    voicemail: Sequence[bool],
    secrets: Sequence[str] = (),
) -> Phone | RenderError:
    """The phone with every secret masked; `secrets` are other masks for the lines' passwords."""
    held = [
        (Extension("", *cast(tuple[str, str, str], line), None, box), secret)
        for line, box, secret in zip(lines, voicemail, secrets or [MASK] * len(lines), strict=True)
    ]
    url = provisioning_url(
        rendering.base_url, MASK, MASK if gathering.binds(rendering, shared.account, device) else ""
    )
    try:
        return gathering.assemble(rendering, shared, replace(device, mac=cast(str, mac)), held, {}, url)
    except RenderError as error:
        return error


def _texts(vendor: Vendor, phone: Phone | RenderError) -> Made:
    if isinstance(phone, RenderError):
        return phone
    try:
        return {suffix: vendor.render(file, phone).decode() for suffix, file in vendor.own_files(phone)}
    except RenderError as error:
        return error


def _tell(
    found: _Found,
    before: Made,
    after: Made,
    macs: tuple[str, str],
    phones: Sequence[Member],
    general: Mapping[str, str],
) -> None:
    if isinstance(after, RenderError):
        found.fail(after, before, phones)
    else:
        files = _diffs(before, after, macs)
        found.add(tuple(FileDiff(each.name, _replaced(each.diff, general)) for each in files), phones)


def _diffs(before: Made, after: Texts, macs: tuple[str, str]) -> tuple[FileDiff, ...]:
    """Of each file that is another; of a phone that has another MAC address, all of them."""
    was: Texts = {} if isinstance(before, RenderError) else before
    told = []
    for suffix in dict.fromkeys((*was, *after)):
        old, new = was.get(suffix, ""), after.get(suffix, "")
        if macs[0] != macs[1]:
            told.append(FileDiff(f"{macs[0]}{suffix} → {macs[1]}{suffix}", _diff(old, new)))
        elif old != new:
            told.append(FileDiff(macs[1] + suffix, _diff(old, new)))
    return tuple(told)


def _diff(before: str, after: str) -> str:
    """A unified diff without context and line numbers, which differ where the change does not."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) == len(new):
        pairs = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        # Other values of the same settings, as most changes are; the search for what was moved takes longer
        # than the files themselves.
        if all(a.partition("=")[0] == b.partition("=")[0] for a, b in pairs):
            return "\n@@\n".join(f"-{a}\n+{b}" for a, b in pairs)
    start = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    old, new = old[start:], new[start:]
    end = next(
        (i for i, (a, b) in enumerate(zip(reversed(old), reversed(new), strict=False)) if a != b),
        min(len(old), len(new)),
    )
    lines = difflib.unified_diff(old[: len(old) - end], new[: len(new) - end], n=0, lineterm="")
    told = ["@@" if line.startswith("@@") else line for line in list(lines)[2:]]
    return "\n".join(told[1:])


def _fit(vendor: Vendor, members: Sequence[Member]) -> tuple[list[Member], list[tuple[Member, RenderError]]]:
    """The phones whose own texts a file can carry, and the others with the reason."""
    fit, unfit = [], []
    for member in members:
        try:
            for line in member.lines:
                for text in line:
                    vendor.encode(text)
            fit.append(member)
        except RenderError as error:
            unfit.append((member, error))
    return fit, unfit


def _differs(vendor: Vendor, files: Sequence[FileDiff], member: Member) -> bool:
    """Whether the diff is one with the member's own texts, too: a label may say what its number is anyway."""
    if not any("«" in each.diff for each in files):
        return True
    own = _own(vendor, member)
    places = (place for each in files for place in _replaced(each.diff, own).split("\n@@\n"))
    return any(_side(place, "-") != _side(place, "+") for place in places)


def _side(place: str, sign: str) -> list[str]:
    return [line[1:] for line in place.splitlines() if line[:1] == sign]


def _own(vendor: Vendor, member: Member) -> Mapping[str, str]:
    """What stands in this phone's files, by what stands for it."""
    own = {_MAC: member.mac}
    for index, line in enumerate(member.lines, start=1):
        own |= {place.format(index): vendor.encode(text) for place, text in zip(_PLACES, line, strict=True)}
    return own


def _general(member: Member) -> Mapping[str, str]:
    """What stands for what is this phone's own, the longest first, so that none is cut up by another."""
    texts = {member.mac: _MAC}
    for index, line in enumerate(member.lines, start=1):
        texts |= {text: place.format(index) for place, text in zip(_PLACES, line, strict=True)}
    return {text: texts[text] for text in sorted(texts, key=len, reverse=True)}


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text


async def _one(
    session: AsyncSession,
    rendering: Rendering,
    account_id: str,
    change: Change,
    pair: tuple[Device, Device],
    found: _Found,
) -> None:
    """One device alone, by its own names; whose password is another's is said, not what it is."""
    known = await extensions.of(session, account_id, [*pair[0].lines, *pair[1].lines])
    made: list[Made] = []
    for device, shared in zip(pair, (change.before, change.after), strict=True):
        if not shared.suffices(device):
            await gathering.add_to(session, shared, device)
        held = [known[extension_id] for extension_id in device.lines]
        phone = _assembled(
            rendering,
            shared,
            device,
            device.mac,
            [(e.number, e.display_name, e.sip_username) for e in held],
            [e.voicemail_enabled for e in held],
            [
                _ANOTHER if device is pair[1] and pair[0].lines[at : at + 1] != (e.id,) else MASK
                for at, e in enumerate(held)
            ],
        )
        made.append(_texts(rendering.vendors[device.vendor], phone))
    member = Member(pair[1].id, pair[1].mac, pair[1].name, ())
    _tell(found, made[0], made[1], (pair[0].mac, pair[1].mac), [member], {})
