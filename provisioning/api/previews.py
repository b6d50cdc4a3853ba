"""Previews: which phones would get other files by a change, before it is made or while it can be undone."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field

from button_templates import library
from button_templates.library import TemplateForm
from provisioning import accounts, devices, previews
from provisioning.accounts import General, Telephony
from provisioning.api.devices import with_ids
from provisioning.api.operation import TECHNICIAN, Answer, Call, merged, operation, patch
from provisioning.devices import DeviceForm
from provisioning.errors import Invalid, NotFound, invalid
from provisioning.fields import Input, check
from provisioning.fleet import Member
from provisioning.phones.options import Options
from provisioning.previews import Change, Failure, FileDiff, Group

_MOST_GROUPS: Final = 30
_MOST_FAILURES: Final = 30
_MOST_PHONES: Final = 20
_MOST_TEXT: Final = 8_000  # characters of one file's diff


class NamedTemplatePatch(patch(TemplateForm)):  # type: ignore[misc]
    id: Annotated[str, Field(pattern=r"^btn_[0-9a-z]{26}$")]


class NamedDevicePatch(patch(DeviceForm)):  # type: ignore[misc]
    id: Annotated[str, Field(pattern=r"^dev_[0-9a-z]{26}$")]


class NamedOptionsPatch(Options):
    id: Annotated[str, Field(pattern=r"^dev_[0-9a-z]{26}$")]


TelephonyPatch = patch(Telephony)
GeneralPatch = patch(General)


class PreviewBody(Input):
    """One change, as the PATCH of the thing takes it; `own_options` are the options of one device.

    With `reversed` the change is the way back from one that was made, and what that one did is told.
    """

    telephony: TelephonyPatch | None = None  # type: ignore[valid-type]
    device_options: Options | None = None
    account: GeneralPatch | None = None  # type: ignore[valid-type]
    button_template: NamedTemplatePatch | None = None
    device: NamedDevicePatch | None = None
    own_options: NamedOptionsPatch | None = None
    reversed: bool = False


class PreviewPhone(Answer):
    id: str
    mac: str
    name: str


class PreviewFile(Answer):
    """`diff` has the lines that go (`-`) and those that come (`+`), `@@` between places; `cut` when it is
    longer than is told. `«mac»` and its like stand for what each phone has its own of."""

    name: str
    diff: str
    cut: bool


class PreviewGroup(Answer):
    """`count` phones whose files change alike; `phones` are the first of them."""

    count: int
    phones: list[PreviewPhone]
    files: list[PreviewFile]


class PreviewFailure(Answer):
    """`count` phones whose files could not be made, and why; `already` when they cannot be made now."""

    count: int
    phones: list[PreviewPhone]
    reason: str
    already: bool


class PreviewAnswer(Answer):
    """Of `total` phones `changed` would get other files. `more_groups` are groups that are not told.
    `refused` says why the change itself would not be accepted."""

    total: int
    changed: int
    failed: int
    refused: str | None
    groups: list[PreviewGroup]
    more_groups: int
    failures: list[PreviewFailure]


@operation("POST", "/previews", "config.preview", roles=TECHNICIAN, answer=PreviewAnswer, body=PreviewBody)
async def preview(call: Call, body: PreviewBody) -> PreviewAnswer:
    """Which phones would get other files by a change, grouped by identical diff; nothing is changed."""
    named = [name for name in _CHANGES if getattr(body, name) is not None]
    if len(named) != 1:
        raise invalid("", f"must be one change, of {', '.join(_CHANGES)}")
    (name,) = named
    wanted = getattr(body, name)
    with _under(name):
        change, refused = await _CHANGES[name](call, wanted)
    found = await previews.preview(
        call.session, call.rendering, call.account_id, change.reversed() if body.reversed else change
    )
    new = [failure.reason for failure in found.failures if not failure.already]
    if change.device and not body.reversed and new:
        refused = new[0]  # as its PATCH renders it once
    total = await devices.total(call.session, call.account_id)
    # Which fields, but no values: some of them are secret, and all are in the entry of the change itself.
    fields = sorted(wanted.model_fields_set - {"id"})
    call.detail |= {"change": name, "fields": fields, "changed": found.changed, "total": total}
    return PreviewAnswer(
        total=total,
        changed=found.changed,
        failed=sum(len(failure.phones) for failure in found.failures),
        refused=refused,
        groups=[_group(group) for group in found.groups[:_MOST_GROUPS]],
        more_groups=max(0, len(found.groups) - _MOST_GROUPS),
        failures=[_failure(failure) for failure in found.failures[:_MOST_FAILURES]],
    )


def _group(group: Group) -> PreviewGroup:
    return PreviewGroup(
        count=len(group.phones), phones=_phones(group.phones), files=[_file(file) for file in group.files]
    )


def _failure(failure: Failure) -> PreviewFailure:
    return PreviewFailure(
        count=len(failure.phones),
        phones=_phones(failure.phones),
        reason=failure.reason,
        already=failure.already,
    )


def _phones(members: Sequence[Member]) -> list[PreviewPhone]:
    return [PreviewPhone(id=each.id, mac=each.mac, name=each.name) for each in members[:_MOST_PHONES]]


def _file(file: FileDiff) -> PreviewFile:
    cut = len(file.diff) > _MOST_TEXT
    diff = file.diff[:_MOST_TEXT].rpartition("\n")[0] if cut else file.diff
    return PreviewFile(name=file.name, diff=diff, cut=cut)


@contextlib.contextmanager
def _under(name: str) -> Iterator[None]:
    """Faults with the path that they have in the body."""
    try:
        yield
    except Invalid as error:
        raise error.under(name) from None
    except NotFound as error:
        raise invalid(f"{name}.id", str(error)) from None


async def _telephony(call: Call, wanted: Input) -> tuple[Change, None]:
    account = await accounts.get(call.session, call.account_id)
    telephony = check(Telephony, merged(account.telephony, wanted))
    await accounts.check_telephony(call.session, call.account_id, telephony)
    # All else of it concerns the switch alone.
    length = account.telephony.model_copy(update={"extension_length": telephony.extension_length})
    return _between(account, replace(account, telephony=length)), None


async def _general(call: Call, wanted: Input) -> tuple[Change, None]:
    account = await accounts.get(call.session, call.account_id)
    general = check(General, merged(account.general, wanted))
    zone = account.general.model_copy(update={"timezone": general.timezone})
    return _between(account, replace(account, general=zone)), None


async def _options(call: Call, wanted: Input) -> tuple[Change, str | None]:
    account = await accounts.get(call.session, call.account_id)
    options = check(Options, merged(account.options, wanted))
    refused = None
    try:
        await devices.check_account_options(call.session, call.rendering, call.account_id, options)
    except Invalid as error:  # it names one device; the failures have them all
        refused = str(error)
    return _between(account, replace(account, options=options)), refused


def _between(before: accounts.Account, after: accounts.Account) -> Change:
    return Change(previews.shared(before), previews.shared(after))


async def _button_template(call: Call, wanted: Any) -> tuple[Change, None]:
    template = await library.get(call.session, call.account_id, wanted.id)
    form = TemplateForm(name=template.name, description=template.description, buttons=template.buttons)
    form = check(TemplateForm, _merged(form, wanted))
    await library.check_name(call.session, call.account_id, template.id, form.name)
    change = await _unchanged(call)
    change.before.templates[template.id] = template.buttons
    change.after.templates[template.id] = form.buttons
    return replace(change, template_id=template.id), None


async def _device(call: Call, wanted: Any) -> tuple[Change, None]:
    current = await devices.get(call.session, call.account_id, wanted.id)
    form = check(DeviceForm, _merged(current.form(), await with_ids(call, wanted)))
    return await _changed_device(call, current, form), None


async def _own_options(call: Call, wanted: Any) -> tuple[Change, None]:
    current = await devices.get(call.session, call.account_id, wanted.id)
    options = check(Options, _merged(current.options, wanted))
    return await _changed_device(call, current, current.form().model_copy(update={"options": options})), None


async def _changed_device(call: Call, current: devices.Device, form: DeviceForm) -> Change:
    after = await devices.changed(call.session, call.rendering.vendors, call.account_id, current.id, form)
    return replace(await _unchanged(call), device=(current, after))


def _merged(form: Input, wanted: Input) -> dict[str, Any]:
    """As a PATCH merges them; the id is in its path."""
    return {name: value for name, value in merged(form, wanted).items() if name != "id"}


async def _unchanged(call: Call) -> Change:
    account = await accounts.get(call.session, call.account_id)
    return _between(account, account)


_CHANGES: Final[Mapping[str, Callable[[Call, Any], Awaitable[tuple[Change, str | None]]]]] = {
    "telephony": _telephony,
    "device_options": _options,
    "account": _general,
    "button_template": _button_template,
    "device": _device,
    "own_options": _own_options,
}
