"""Provisioning: the token, the URL that phones boot against, and their admin password."""

from datetime import datetime
from typing import Literal

import tokens
from provisioning import accounts, bindings, devices, sightings, staging
from provisioning.api.operation import ADMIN, READER, Answer, Call, merged, operation, patch
from provisioning.errors import Conflict, Stale, invalid
from provisioning.fields import AdminPassword, Input, Text, check


class DeviceCounts(Answer):
    """`current` fetched with the present token, `stale` with an older one, `silent` not at all."""

    total: int
    current: int
    stale: int
    silent: int


class StagedPhoneAnswer(Answer):
    """`reason` is why staging is not offered to the phone, empty where it is."""

    id: str
    mac: str
    name: str
    model: str
    reason: str


class StagedAnswer(Answer):
    """A rotation that is staged. Of `total` phones, `told` know the URL that Commit puts in force; once
    `told_at` is there, it cannot be cancelled any more. To the `not_offered` phones beside these it is not
    told: somebody has to visit them after Commit. Of both lists the first 100 are named.
    """

    generation: int
    created_at: datetime
    provisioning_url: str | None
    told: int
    total: int
    told_at: datetime | None
    told_phones: list[StagedPhoneAnswer]
    not_offered: int
    not_offered_phones: list[StagedPhoneAnswer]


class ProvisioningAnswer(Answer):
    """`token` is null and `generation` 0 before the first one is generated. A viewer sees no secrets.

    `bind_phones` is whether each phone is served at a URL of its own alone, once it has asked there, as
    `bound_phones` of them have.
    """

    token: str | None
    provisioning_url: str | None
    admin_password: str | None
    generation: int
    created_at: datetime | None
    bind_phones: bool
    bound_phones: int
    devices: DeviceCounts
    staged: StagedAnswer | None

    def etag(self) -> str:
        return f'"{self.generation}"'


class ProvisioningForm(Input):
    bind_phones: bool


class RotateBody(Input):
    reason: Text | None = None
    rotate_admin_password: bool = False


Reason = Literal["scheduled", "staff_change", "leak", "other"]


class StageBody(Input):
    """`leak` is refused: whoever holds a leaked URL would be told the next one."""

    reason: Reason | None = None


class AdminPasswordBody(Input):
    admin_password: AdminPassword | None = None


class AdminPasswordAnswer(Answer):
    admin_password: str


@operation("GET", "/account/provisioning", "provisioning.read", roles=READER, answer=ProvisioningAnswer)
async def read(call: Call) -> ProvisioningAnswer:
    """The provisioning token, the URL that phones boot against, and the phone admin password."""
    current = await tokens.current(call.session, call.vault, call.account_id)
    generation = current.generation if current else 0
    counts = await sightings.counts(call.session, call.account_id, generation)
    shown = current if call.reveals else None
    password = await accounts.admin_password(call.session, call.vault, call.account_id)
    account = await accounts.get(call.session, call.account_id)
    return ProvisioningAnswer(
        token=shown.text if shown else None,
        provisioning_url=devices.provisioning_url(call.rendering.base_url, shown.text) if shown else None,
        admin_password=password if call.reveals else None,
        generation=generation,
        created_at=current.created_at if current else None,
        bind_phones=account.bind_phones,
        bound_phones=await bindings.count(call.session, call.account_id, generation),
        devices=DeviceCounts(**counts),
        staged=await _staged(call),
    )


async def _staged(call: Call) -> StagedAnswer | None:
    token = await tokens.staged(call.session, call.vault, call.account_id)
    if token is None:
        return None
    vendors = call.rendering.vendors
    progress = await staging.progress(call.session, vendors, call.account_id, token.generation)
    url = devices.provisioning_url(call.rendering.base_url, token.text)
    return StagedAnswer(
        generation=token.generation,
        created_at=token.created_at,
        provisioning_url=url if call.reveals else None,
        told=progress.told,
        total=progress.total,
        told_at=token.told_at,
        told_phones=[StagedPhoneAnswer.model_validate(phone) for phone in progress.told_phones],
        not_offered=progress.not_offered,
        not_offered_phones=[StagedPhoneAnswer.model_validate(phone) for phone in progress.not_offered_phones],
    )


@operation(
    "PATCH",
    "/account/provisioning",
    "provisioning.update",
    roles=ADMIN,
    answer=ProvisioningAnswer,
    body=patch(ProvisioningForm),
)
async def update(call: Call, body: Input) -> ProvisioningAnswer:
    """Switch on that phones are bound: with its next fetch each is told a URL of its own, and once it has
    asked there it is served there alone. Switched off, phones are told the URL that all share again."""
    await _expected(call)
    account = await accounts.get(call.session, call.account_id)
    before = ProvisioningForm(bind_phones=account.bind_phones)
    form = check(ProvisioningForm, merged(before, body))
    if form != before:
        await accounts.set_bind_phones(call.session, account.id, form.bind_phones)
        # Phones that went back to the URL that all share are not to be refused there.
        await bindings.end(call.session, account.id)
        call.detail["changed"] = {"bind_phones": {"old": before.bind_phones, "new": form.bind_phones}}
    return await read(call)


@operation(
    "POST",
    "/account/provisioning/generate",
    "token.generate",
    roles=ADMIN,
    answer=ProvisioningAnswer,
    status=201,
)
async def generate(call: Call) -> ProvisioningAnswer:
    """Make the account's first provisioning token; 409 when there is one."""
    made = await tokens.generate(call.session, call.vault, call.account_id, actor=call.caller.actor)
    call.detail["generation"] = made.generation
    return await read(call)


@operation(
    "POST",
    "/account/provisioning/rotate",
    "token.rotate",
    roles=ADMIN,
    answer=ProvisioningAnswer,
    body=RotateBody,
)
async def rotate(call: Call, body: RotateBody) -> ProvisioningAnswer:
    """Replace the token. From this answer on every request with the old URL is refused. A rotation that is
    staged ends with it: phones that were told its URL ask at one that never comes to life."""
    staged = await _expected(call)
    made = await tokens.rotate(call.session, call.vault, call.account_id, actor=call.caller.actor)
    call.detail |= {"generation": made.generation, "reason": body.reason}
    if staged:
        call.detail["staged_ended"] = staged.generation
    if body.rotate_admin_password:
        password = accounts.make_admin_password()
        await accounts.set_admin_password(call.session, call.vault, call.account_id, password)
        call.secret("admin_password")
    return await read(call)


@operation(
    "POST",
    "/account/provisioning/stage",
    "token.stage",
    roles=ADMIN,
    answer=ProvisioningAnswer,
    body=StageBody,
)
async def stage(call: Call, body: StageBody) -> ProvisioningAnswer:
    """Make the next token, and tell it to phones in the files that they fetch. It is refused until Commit,
    and the present one stays in force; 409 when one is staged, 422 for the reason `leak`: rotate instead."""
    if body.reason == "leak":
        raise invalid("reason", "rotate instead: whoever holds a leaked URL would be told the next one")
    await _expected(call)
    made = await tokens.stage(call.session, call.vault, call.account_id, actor=call.caller.actor)
    call.detail |= {"generation": made.generation, "reason": body.reason}
    return await read(call)


@operation(
    "POST",
    "/account/provisioning/commit",
    "token.commit",
    roles=ADMIN,
    answer=ProvisioningAnswer,
)
async def commit(call: Call) -> ProvisioningAnswer:
    """Put the staged token in force. From this answer on every request with the old URL is refused, and the
    phones that were told the next one come back by themselves; 409 when none is staged."""
    await _expected(call)
    made = await tokens.commit(call.session, call.vault, call.account_id, actor=call.caller.actor)
    call.detail["generation"] = made.generation
    return await read(call)


@operation(
    "POST",
    "/account/provisioning/cancel",
    "token.cancel",
    roles=ADMIN,
    answer=ProvisioningAnswer,
)
async def cancel(call: Call) -> ProvisioningAnswer:
    """Forget the staged token for good; 409 when none is staged, or once a file with its URL was served."""
    await _expected(call)
    cancelled = await tokens.cancel(call.session, call.account_id, actor=call.caller.actor)
    # It may be told without any file: a phone has asked with what somebody typed in.
    if await sightings.is_told(call.session, call.account_id, cancelled):
        raise Conflict("a phone holds the next URL already, and would be lost without it: commit")
    call.detail["generation"] = cancelled
    return await read(call)


async def _expected(call: Call) -> tokens.Token | None:
    """The staged token. Raises `Stale` when the caller says which generation is in force, `"7"`, or with it
    which one is staged, `"7+8"`, 0 for none, and that is not so any more."""
    current = await tokens.current(call.session, call.vault, call.account_id)
    staged = await tokens.staged(call.session, call.vault, call.account_id)
    now = f"{current.generation if current else 0}"
    if (call.if_match or "*").strip() not in {
        "*",
        f'"{now}"',
        f'"{now}+{staged.generation if staged else 0}"',
    }:
        raise Stale("the token was rotated, or a rotation staged, by somebody else since you read it")
    return staged


@operation(
    "PUT",
    "/account/provisioning/admin-password",
    "admin_password.update",
    roles=ADMIN,
    answer=AdminPasswordAnswer,
    body=AdminPasswordBody,
)
async def update_admin_password(call: Call, body: AdminPasswordBody) -> AdminPasswordAnswer:
    """Set the phones' admin password; without one, 12 random digits. Phones take it at their next fetch."""
    password = body.admin_password or accounts.make_admin_password()
    await accounts.set_admin_password(call.session, call.vault, call.account_id, password)
    call.secret("admin_password")
    return AdminPasswordAnswer(admin_password=password)
