"""Unknown phones: who asked with the account's token without being one of its devices."""

from datetime import datetime

from provisioning import leak_alarms, unknown_phones
from provisioning.api.operation import READER, Answer, Call, operation


class UnknownPhoneAnswer(Answer):
    """`vendor` and `model` are what the User-Agent claims, null where it claims none of ours."""

    mac: str
    vendor: str | None
    model: str | None
    user_agent: str
    last_asked_at: datetime
    last_asked_ip: str
    requests: int


class LeakAlarmAnswer(Answer):
    """More than 20 MAC addresses of no device asked within 10 minutes, since `raised_at`, and last so at
    `last_at`. Of the `requests` of unknown phones since then only some are in the boot log. It ends
    10 minutes after `last_at`, or with a rotation."""

    raised_at: datetime
    last_at: datetime
    requests: int
    addresses: list[str]


class UnknownPhonesAnswer(Answer):
    """`alarm` is there while so many ask that the URL may have leaked."""

    alarm: LeakAlarmAnswer | None
    data: list[UnknownPhoneAnswer]


@operation(
    "GET",
    "/account/provisioning/unknown-phones",
    "provisioning.unknown_phones",
    roles=READER,
    answer=UnknownPhonesAnswer,
)
async def list_(call: Call) -> UnknownPhonesAnswer:
    """The last 200 phones that asked with the token in 30 days and are no device of the account."""
    found = await unknown_phones.recent(call.session, call.rendering.vendors, call.account_id)
    alarm = await leak_alarms.of(call.session, call.account_id)
    return UnknownPhonesAnswer(
        alarm=LeakAlarmAnswer.model_validate(alarm) if alarm else None,
        data=[UnknownPhoneAnswer.model_validate(phone) for phone in found],
    )
