"""The account: who it is, its telephony, its phone options, whom to tell of emergency calls."""

from provisioning import accounts, devices, emergency, outbox
from provisioning.accounts import EmergencyRecipients, General, Telephony
from provisioning.api.operation import ADMIN, READER, Answer, Call, merged, operation, patch
from provisioning.fields import Address, Input, check
from provisioning.phones.options import Options


class AccountAnswer(Answer):
    id: str
    name: str
    email: str
    timezone: str
    billing_address: Address | None


class TelephonyAnswer(Answer):
    extension_length: int
    default_outbound_number_id: str | None
    hold_music_clip_id: str | None
    transcription_enabled: bool
    recording_enabled: bool
    parking_timeout_minutes: int
    inbound_fax_limit: int | None
    outbound_fax_limit: int | None


class DeviceOptionsAnswer(Answer, Options):
    """An option that is null is inherited from the platform."""


class RecipientsAnswer(Answer):
    """`warnings` say why somebody may not be told of a call."""

    volatile = frozenset({"warnings"})
    emails: list[str]
    warnings: list[str]


@operation("GET", "/account", "account.read", roles=READER, answer=AccountAnswer)
async def read(call: Call) -> AccountAnswer:
    """Who the account is."""
    account = await accounts.get(call.session, call.account_id)
    return AccountAnswer(id=account.id, **dict(account.general))


@operation("PATCH", "/account", "account.update", roles=ADMIN, answer=AccountAnswer, body=patch(General))
async def update(call: Call, body: Input) -> AccountAnswer:
    """Change name, email, timezone or billing address."""
    before = await read(call)
    call.expect(before)
    account = await accounts.get(call.session, call.account_id)
    await accounts.set_general(call.session, account.id, check(General, merged(account.general, body)))
    after = await read(call)
    call.changed(before, after)
    return after


@operation("GET", "/account/telephony", "telephony.read", roles=READER, answer=TelephonyAnswer)
async def read_telephony(call: Call) -> TelephonyAnswer:
    """How calls are handled."""
    account = await accounts.get(call.session, call.account_id)
    return TelephonyAnswer.model_validate(account.telephony)


@operation(
    "PATCH",
    "/account/telephony",
    "telephony.update",
    roles=ADMIN,
    answer=TelephonyAnswer,
    body=patch(Telephony),
)
async def update_telephony(call: Call, body: Input) -> TelephonyAnswer:
    """Change how calls are handled. The extension length makes the phones' dial plan."""
    before = await read_telephony(call)
    call.expect(before)
    account = await accounts.get(call.session, call.account_id)
    telephony = check(Telephony, merged(account.telephony, body))
    await accounts.set_telephony(call.session, account.id, telephony)
    after = await read_telephony(call)
    call.changed(before, after)
    return after


@operation("GET", "/account/device-options", "device_options.read", roles=READER, answer=DeviceOptionsAnswer)
async def read_options(call: Call) -> DeviceOptionsAnswer:
    """The phone options that the account sets."""
    account = await accounts.get(call.session, call.account_id)
    return DeviceOptionsAnswer.model_validate(account.options)


@operation(
    "PATCH",
    "/account/device-options",
    "device_options.update",
    roles=ADMIN,
    answer=DeviceOptionsAnswer,
    body=Options,
)
async def update_options(call: Call, body: Options) -> DeviceOptionsAnswer:
    """Change phone options of the account; null inherits from the platform again."""
    before = await read_options(call)
    call.expect(before)
    account = await accounts.get(call.session, call.account_id)
    options = check(Options, merged(account.options, body))
    await devices.check_account_options(call.session, call.rendering, account.id, options)
    await accounts.set_options(call.session, account.id, options)
    after = await read_options(call)
    call.changed(before, after)
    return after


@operation(
    "GET",
    "/account/emergency-recipients",
    "emergency_recipients.read",
    roles=READER,
    answer=RecipientsAnswer,
)
async def read_recipients(call: Call) -> RecipientsAnswer:
    """Who receives an email whenever 911 or 933 is dialed on the account."""
    account = await accounts.get(call.session, call.account_id)
    emails = account.emergency_recipients.emails
    late = await emergency.undelivered(call.session, call.account_id)
    warnings = [
        *(() if emails else (emergency.NO_RECIPIENT,)),
        *(() if call.has_relay else (outbox.NO_RELAY,)),
        *((f"Mails about emergency calls that are not delivered: {late}.",) if late else ()),
    ]
    return RecipientsAnswer(emails=emails, warnings=warnings)


@operation(
    "PUT",
    "/account/emergency-recipients",
    "emergency_recipients.update",
    roles=ADMIN,
    answer=RecipientsAnswer,
    body=EmergencyRecipients,
)
async def update_recipients(call: Call, body: EmergencyRecipients) -> RecipientsAnswer:
    """Replace the list of emergency recipients."""
    before = await read_recipients(call)
    call.expect(before)
    await accounts.set_emergency_recipients(call.session, call.account_id, body)
    after = await read_recipients(call)
    call.changed(before, after)
    return after
