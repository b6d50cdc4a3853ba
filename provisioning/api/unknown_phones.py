"""Unknown phones: who asked with the account's token without being one of its devices."""

from datetime import datetime

from provisioning import unknown_phones
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


class UnknownPhonesAnswer(Answer):
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
    return UnknownPhonesAnswer(data=[UnknownPhoneAnswer.model_validate(phone) for phone in found])
