"""Emergency calls: the switch reports them, and people see whom they were told and when."""

from datetime import datetime

from provisioning import deliveries, emergency
from provisioning.api.operation import READER, SWITCH, Answer, Call, Paging, operation, page_of
from provisioning.db import now
from provisioning.deliveries import Delivery, State
from provisioning.emergency import EmergencyCall
from provisioning.emergency_report import EmergencyReport


class ReportedAnswer(Answer):
    """`locations` are all from which the call may have come, `recipients` the number of mails."""

    call_id: str
    dialed: str
    reported_at: datetime
    locations: list[str]
    recipients: int
    warnings: list[str]


class MailAnswer(Answer):
    """`late` is undelivered for 60 seconds; `failed` is given up; `seconds` are from report to delivery."""

    recipient: str
    state: State
    attempts: int
    delivered_at: datetime | None
    seconds: float | None
    last_error: str | None


class EmergencyCallAnswer(Answer):
    id: str
    call_id: str
    dialed: str
    sip_username: str | None
    device_mac: str | None
    caller_number: str | None
    occurred_at: datetime | None
    reported_at: datetime
    caller: str
    locations: list[str]
    warnings: list[str]
    mails: list[MailAnswer]


EmergencyCallPage = page_of(EmergencyCallAnswer)


def _answer(call: EmergencyCall, mails: list[Delivery]) -> EmergencyCallAnswer:
    return EmergencyCallAnswer(
        id=call.id,
        **dict(call.report),
        reported_at=call.reported_at,
        caller=call.scene.caller,
        locations=call.scene.location_names,
        warnings=list(call.warnings),
        mails=[MailAnswer.model_validate(mail) for mail in mails],
    )


@operation(
    "POST",
    "/switch/emergency-calls",
    "emergency_call.report",
    roles=SWITCH,
    answer=ReportedAnswer,
    body=EmergencyReport,
    resource="emergency_call",
    status=202,
)
async def report(call: Call, body: EmergencyReport) -> ReportedAnswer:
    """Tell every recipient of a call to 911, or to 933 as a test; 202 once it and its mails are stored."""
    reported, new = await emergency.report(
        call.session, call.rendering.vendors, call.account_id, body, relay=call.has_relay
    )
    mails = await deliveries.deliveries(call.session, [reported.id], now())
    call.mails = new
    call.resource = f"emergency_call/{reported.id}"
    call.detail |= {"dialed": reported.report.dialed, "recipients": len(mails[reported.id]), "new": new}
    return ReportedAnswer(
        call_id=reported.report.call_id,
        dialed=reported.report.dialed,
        reported_at=reported.reported_at,
        locations=reported.scene.location_names,
        recipients=len(mails[reported.id]),
        warnings=list(reported.warnings),
    )


@operation(
    "GET",
    "/emergency-calls",
    "emergency_call.list",
    roles=READER,
    answer=EmergencyCallPage,
    query=Paging,
    resource="emergency_call",
)
async def list_(call: Call, query: Paging) -> Answer:
    """The emergency calls, newest first, each with how far its mails have come."""
    found, following = await emergency.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    mails = await deliveries.deliveries(call.session, [reported.id for reported in found], now())
    return EmergencyCallPage(
        data=[_answer(reported, mails[reported.id]) for reported in found], next_cursor=following
    )
