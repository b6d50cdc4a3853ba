"""Devices: the phones of the account, their keys, the files that they are served, and what they asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

import tokens
from button_templates.layout import Button
from provisioning import (
    accounts,
    bindings,
    boot_log,
    caller_id,
    device_csv,
    device_search,
    devices,
    extensions,
    gathering,
    sightings,
)
from provisioning.api.operation import (
    READER,
    TECHNICIAN,
    Answer,
    Call,
    Paging,
    merged,
    operation,
    page_of,
    patch,
)
from provisioning.device_search import Filters, Status
from provisioning.devices import Device, DeviceForm
from provisioning.errors import NotFound
from provisioning.fields import Input, check, one_line
from provisioning.sightings import Sighting


class DeviceAnswer(Answer):
    """`status` is `pending` before the first fetch, `stale` when the last one came with a rotated token.

    `config_current` says whether the phone's own files would be the same if it fetched them now; null while
    it has never fetched them. `bound` is whether it is served at the URL of its own alone, since `bound_at`.
    """

    volatile = frozenset(
        {
            "effective_outbound_number",
            "status",
            "last_fetch_at",
            "last_fetch_ip",
            "last_fetch_generation",
            "firmware",
            "config_current",
            "bound",
            "bound_at",
        }
    )

    id: str
    mac: str
    vendor: str
    model: str
    expansion: str | None
    name: str
    location_id: str | None
    lines: list[str]
    button_template_id: str | None
    button_overrides: list[Button]
    outbound_number_id: str | None
    effective_outbound_number: str | None
    options: dict[str, Any]
    status: str
    last_fetch_at: datetime | None
    last_fetch_ip: str | None
    last_fetch_generation: int | None
    firmware: str | None
    config_current: bool | None
    bound: bool
    bound_at: datetime | None


class CurrentCountAnswer(Answer):
    """Of `total` phones `counted` have been looked at so far: ask again for the rest. `current` of them hold
    the newest files; those that have never fetched do not."""

    volatile = frozenset({"counted", "current"})

    counted: int
    current: int
    total: int


class ButtonAnswer(Answer):
    module: int
    position: int
    type: str
    label: str
    target: dict[str, Any]
    source: str
    supported: bool
    reason: str | None


class ButtonsAnswer(Answer):
    data: list[ButtonAnswer]


class FileAnswer(Answer):
    name: str
    content_type: str
    content: str


class FilesAnswer(Answer):
    data: list[FileAnswer]


class BootAnswer(Answer):
    id: int
    time: datetime
    method: str
    file: str
    status: int
    verdict: str
    reason: str
    ip: str
    scheme: str | None
    user_agent: str
    generation: int | None
    bytes: int
    config_hash: str | None


class DevicesQuery(Paging):
    """`q` is part of a name, a model or a MAC address in any spelling, or the beginning of an extension's
    number; `not-current` is every device that has not fetched with the present token."""

    q: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = ""
    vendor: str = Field(default="", pattern=r"^[a-z0-9_-]{0,40}$")
    location_id: str = Field(default="", pattern=r"^(loc_[0-9a-z]{26})?$")
    status: Status | None = None

    def filters(self) -> Filters:
        return Filters(self.q, self.vendor, self.location_id, self.status)


class RevealQuery(Input):
    model_config = ConfigDict(strict=False)
    reveal: bool = False


class BootsQuery(Paging):
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None


DevicePage = page_of(DeviceAnswer)
BootPage = page_of(BootAnswer)


def _answer(
    device: Device,
    number: str | None,
    seen: Sighting,
    generation: int,
    current: bool | None,
    bound_at: datetime | None,
) -> DeviceAnswer:
    return DeviceAnswer(
        id=device.id,
        mac=device.mac,
        vendor=device.vendor,
        model=device.model,
        expansion=device.expansion,
        name=device.name,
        location_id=device.location_id,
        lines=list(device.lines),
        button_template_id=device.button_template_id,
        button_overrides=list(device.button_overrides),
        outbound_number_id=device.outbound_number_id,
        effective_outbound_number=number,
        options=device.options.model_dump(mode="json", exclude_none=True),
        status=seen.status(generation),
        last_fetch_at=seen.fetched_at,
        last_fetch_ip=seen.fetched_ip,
        last_fetch_generation=seen.generation,
        firmware=seen.firmware,
        config_current=current,
        bound=bound_at is not None,
        bound_at=bound_at,
    )


async def _answers(call: Call, found: Sequence[Device]) -> list[DeviceAnswer]:
    generation = await tokens.generation(call.session, call.account_id)
    seen = await sightings.of(call.session, call.account_id, [device.mac for device in found])
    shown = await caller_id.of_devices(call.session, call.account_id, [device.id for device in found])
    current = await call.holdings.current(
        call.session, call.rendering, call.account_id, found, seen, remember=not call.writes
    )
    account = await accounts.get(call.session, call.account_id)
    bound = await bindings.of(call.session, [device.id for device in found], generation)
    return [
        _answer(
            device,
            shown[device.id],
            seen.get(device.mac, Sighting()),
            generation,
            current[device.id],
            binding.bound_at
            if (binding := bound.get(device.id)) and gathering.binds(call.rendering, account, device)
            else None,
        )
        for device in found
    ]


async def _one(call: Call, device: Device) -> DeviceAnswer:
    return (await _answers(call, [device]))[0]


async def with_ids(call: Call, body: Input) -> Input:
    """`lines` may be named by the numbers of extensions, too."""
    lines: list[str] = getattr(body, "lines", None) or []
    ids = await extensions.ids_of(call.session, call.account_id, [line for line in lines if line.isdigit()])
    return body.model_copy(update={"lines": [ids.get(line, line) for line in lines]}) if ids else body


@operation(
    "GET",
    "/devices",
    "device.list",
    roles=READER,
    answer=DevicePage,
    query=DevicesQuery,
    resource="device",
)
async def list_(call: Call, query: DevicesQuery) -> Answer:
    """The devices, newest first, or those that meet all filters."""
    generation = await tokens.generation(call.session, call.account_id)
    conditions = device_search.conditions(call.account_id, query.filters(), generation)
    found, following = await devices.page(
        call.session, call.account_id, *conditions, limit=query.limit, cursor=query.cursor
    )
    return DevicePage(data=await _answers(call, found), next_cursor=following)


@operation(
    "POST",
    "/devices",
    "device.create",
    roles=TECHNICIAN,
    answer=DeviceAnswer,
    body=DeviceForm,
    resource="device",
    status=201,
)
async def create(call: Call, body: DeviceForm) -> DeviceAnswer:
    """A new device; its vendor is told from the MAC address when absent, lines are ids or numbers."""
    form = check(DeviceForm, dict(await with_ids(call, body)))
    made = await devices.add(call.session, call.rendering.vendors, call.account_id, form)
    await gathering.try_out(call.session, call.vault, call.rendering, made)
    return call.created(await _one(call, made))


class ImportAnswer(Answer):
    created: int
    updated: int


@operation(
    "POST",
    "/devices/import",
    "device.import",
    roles=TECHNICIAN,
    answer=ImportAnswer,
    accepts="text/csv",
    resource="device",
)
async def import_(call: Call, body: str) -> ImportAnswer:
    """Make or update up to 5,000 devices from a CSV file, by their MAC address; all rows or none."""
    done = await device_csv.import_(call.session, call.rendering, call.account_id, body)
    call.detail |= {"created": done.created, "updated": done.updated}
    return ImportAnswer(created=done.created, updated=done.updated)


@operation("GET", "/devices/export", "device.export", roles=READER, produces="text/csv", resource="device")
async def export(call: Call) -> str:
    """All devices as the CSV file that import reads."""
    return await device_csv.export(call.session, call.account_id)


@operation(
    "GET",
    "/devices/current-count",
    "device.current_count",
    roles=READER,
    answer=CurrentCountAnswer,
    resource="device",
)
async def current_count(call: Call) -> CurrentCountAnswer:
    """How many phones hold the newest files; of very many, so many as can be told in a second."""
    count = await call.holdings.count(call.session, call.rendering, call.account_id)
    return CurrentCountAnswer(counted=count.counted, current=count.current, total=count.total)


@operation("GET", "/devices/{id}", "device.read", roles=READER, answer=DeviceAnswer, resource="device/{id}")
async def read(call: Call) -> DeviceAnswer:
    """One device, with its last fetch."""
    return await _one(call, await devices.get(call.session, call.account_id, call.id))


@operation(
    "PATCH",
    "/devices/{id}",
    "device.update",
    roles=TECHNICIAN,
    answer=DeviceAnswer,
    body=patch(DeviceForm),
    resource="device/{id}",
)
async def update(call: Call, body: Input) -> DeviceAnswer:
    """Change a device; the phone gets the change with its next fetch."""
    before = await read(call)
    call.expect(before)
    current = await devices.get(call.session, call.account_id, call.id)
    form = check(DeviceForm, merged(current.form(), await with_ids(call, body)))
    device = await devices.update(call.session, call.rendering.vendors, call.account_id, call.id, form)
    await gathering.try_out(call.session, call.vault, call.rendering, device)
    after = await _one(call, device)
    call.changed(before, after)
    return after


@operation(
    "POST",
    "/devices/{id}/reopen",
    "device.reopen",
    roles=TECHNICIAN,
    answer=DeviceAnswer,
    resource="device/{id}",
)
async def reopen(call: Call) -> DeviceAnswer:
    """Open a phone that is bound to a URL of its own: that URL is refused from now on, and the next one that
    comes at the URL which all phones share is told another one, and bound to it."""
    before = await read(call)
    call.expect(before)
    device = await devices.reopen(call.session, call.account_id, call.id)
    call.detail["was_bound"] = before.bound
    return await _one(call, device)


@operation("DELETE", "/devices/{id}", "device.delete", roles=TECHNICIAN, resource="device/{id}")
async def delete(call: Call) -> None:
    """Remove a device: its files are refused from now on, and what it uploaded goes with it."""
    call.deletes(await read(call))
    await devices.delete(call.session, call.account_id, call.id)


@operation(
    "GET",
    "/devices/{id}/buttons",
    "device.buttons",
    roles=READER,
    answer=ButtonsAnswer,
    resource="device/{id}",
)
async def buttons(call: Call) -> ButtonsAnswer:
    """The keys in force, and for each that the phone cannot hold the reason."""
    device = await devices.get(call.session, call.account_id, call.id)
    phone = await gathering.gather(call.session, call.vault, call.rendering, device, "-")
    keys = sorted(
        [*(key for key in phone.slots if key.source), *phone.refused], key=lambda k: (k.module, k.position)
    )
    return ButtonsAnswer(
        data=[
            ButtonAnswer(
                module=key.module,
                position=key.position,
                type=key.type,
                label=key.label,
                target=dict(key.target),
                source=str(key.source),
                supported=key.supported,
                reason=key.reason,
            )
            for key in keys
        ]
    )


@operation(
    "GET",
    "/devices/{id}/files",
    "device.preview",
    roles=READER,
    answer=FilesAnswer,
    query=RevealQuery,
    resource="device/{id}",
)
async def files(call: Call, query: RevealQuery) -> FilesAnswer:
    """What the phone would be served now, secrets masked unless `?reveal=true`."""
    return FilesAnswer(data=await _files(call, query.reveal))


@operation(
    "GET",
    "/devices/{id}/files/{file}",
    "device.preview",
    roles=READER,
    answer=FileAnswer,
    query=RevealQuery,
    resource="device/{id}",
)
async def file(call: Call, query: RevealQuery) -> FileAnswer:
    """One file that the phone would be served now, secrets masked unless `?reveal=true`."""
    for made in await _files(call, query.reveal):
        if made.name == call.path["file"]:
            return made
    raise NotFound("the phone has no file of this name")


async def _files(call: Call, reveal: bool) -> list[FileAnswer]:
    device = await devices.get(call.session, call.account_id, call.id)
    if reveal:
        call.reveal("device.reveal")
    current = await tokens.current(call.session, call.vault, call.account_id)
    staged = await tokens.staged(call.session, call.vault, call.account_id)
    phone = await gathering.gather(
        call.session,
        call.vault,
        call.rendering,
        device,
        current.text if current else devices.MASK,
        staged.text if staged else None,
    )
    shown = phone if reveal else gathering.masked(phone, call.rendering.base_url)
    made = await gathering.files(call.session, call.rendering, device, shown)
    vendor = call.rendering.vendors[device.vendor]
    types = {name: file.content_type for name, file, _ in vendor.file_names(phone)}
    return [
        FileAnswer(name=name, content_type=types[name], content=content.decode())
        for name, content in made.items()
    ]


@operation(
    "GET",
    "/devices/{id}/boots",
    "device.boots",
    roles=READER,
    answer=BootPage,
    query=BootsQuery,
    resource="device/{id}",
)
async def boots(call: Call, query: BootsQuery) -> Answer:
    """The boot log of the device: each request, its verdict and the reason; newest first."""
    device = await devices.get(call.session, call.account_id, call.id)
    rows, following = await boot_log.page(
        call.session, call.account_id, device.mac, limit=query.limit, cursor=query.cursor
    )
    return BootPage(data=[BootAnswer.model_validate(row) for row in rows], next_cursor=following)
