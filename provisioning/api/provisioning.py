"""Provisioning: the token, the URL that phones boot against, and their admin password."""

from datetime import datetime

import tokens
from provisioning import accounts, devices, sightings
from provisioning.api.operation import ADMIN, READER, Answer, Call, operation
from provisioning.errors import Stale
from provisioning.fields import AdminPassword, Input, Text


class DeviceCounts(Answer):
    """`current` fetched with the present token, `stale` with an older one, `silent` not at all."""

    total: int
    current: int
    stale: int
    silent: int


class ProvisioningAnswer(Answer):
    """`token` is null and `generation` 0 before the first one is generated. A viewer sees no secrets."""

    token: str | None
    provisioning_url: str | None
    admin_password: str | None
    generation: int
    created_at: datetime | None
    devices: DeviceCounts

    def etag(self) -> str:
        return f'"{self.generation}"'


class RotateBody(Input):
    reason: Text | None = None
    rotate_admin_password: bool = False


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
    return ProvisioningAnswer(
        token=shown.text if shown else None,
        provisioning_url=devices.provisioning_url(call.rendering.base_url, shown.text) if shown else None,
        admin_password=password if call.reveals else None,
        generation=generation,
        created_at=current.created_at if current else None,
        devices=DeviceCounts(**counts),
    )


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
    """Replace the token. From this answer on every request with the old URL is refused."""
    before = await tokens.current(call.session, call.vault, call.account_id)
    said = (call.if_match or "*").strip()
    if said not in {"*", f'"{before.generation if before else 0}"'}:
        raise Stale("the token was rotated by somebody else since you read it")
    made = await tokens.rotate(call.session, call.vault, call.account_id, actor=call.caller.actor)
    call.detail |= {"generation": made.generation, "reason": body.reason}
    if body.rotate_admin_password:
        password = accounts.make_admin_password()
        await accounts.set_admin_password(call.session, call.vault, call.account_id, password)
        call.secret("admin_password")
    return await read(call)


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
