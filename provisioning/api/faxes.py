"""Faxes: the switch asks before it takes or sends one."""

from typing import Literal

from provisioning import accounts, faxes
from provisioning.api.operation import SWITCH, Answer, Call, operation
from provisioning.faxes import FaxForm


class FaxAnswer(Answer):
    """`remaining` is how many more fit now, null where the account has no limit."""

    admitted: Literal[True] = True
    remaining: int | None


@operation(
    "POST",
    "/switch/faxes",
    "fax.admit",
    roles=SWITCH,
    answer=FaxAnswer,
    body=FaxForm,
    resource="fax",
    failures=(429,),
)
async def admit(call: Call, body: FaxForm) -> FaxAnswer:
    """May this fax be taken or sent? 429 says when the next one may; a fax_id that was admitted stays so."""
    call.resource = f"fax/{body.direction}/{body.fax_id}"
    telephony = (await accounts.get(call.session, call.account_id)).telephony
    limit = telephony.inbound_fax_limit if body.direction == "inbound" else telephony.outbound_fax_limit
    remaining = await faxes.admit(call.session, call.account_id, body, limit=limit)
    call.detail["remaining"] = remaining
    return FaxAnswer(remaining=remaining)
