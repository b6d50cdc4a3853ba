"""The activity log: who did what on the account, when and from where, and how it ended."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from provisioning import activity
from provisioning.api.operation import READER, Answer, Call, Paging, operation
from provisioning.fields import one_line

Part = Annotated[str, Field(max_length=200), AfterValidator(one_line)]


class EntryAnswer(Answer):
    id: str
    time: datetime
    event: str
    resource: str
    actor: str
    outcome: str
    ip: str
    detail: dict[str, Any]


class ActivityPage(Answer):
    """Only a page without a cursor is the last: where filters hardly ever meet, a page may be short or empty,
    and the search goes on with its cursor."""

    data: list[EntryAnswer]
    next_cursor: str | None


class EventAnswer(Answer):
    event: str
    kind: Literal["read", "write"]


class EventsAnswer(Answer):
    data: list[EventAnswer]


class ActivityQuery(Paging):
    """`from` is included, `to` is not; `resource` and `actor` match a prefix, `ip` any part."""

    from_: Annotated[AwareDatetime | None, Field(alias="from")] = None
    to: AwareDatetime | None = None
    event: list[Part] = Field(default_factory=list, max_length=200)
    resource: Part | None = None
    actor: Part | None = None
    outcome: Literal["success", "failure", "denied"] | None = None
    ip: Part | None = None
    cursor: Annotated[str, Field(max_length=300), AfterValidator(one_line)] | None = None


@operation(
    "GET",
    "/activity",
    "activity.list",
    roles=READER,
    answer=ActivityPage,
    query=ActivityQuery,
    resource="activity",
)
async def list_(call: Call, query: ActivityQuery) -> ActivityPage:
    """Every operation on the account, reads too, newest first."""
    filters = activity.Filters(
        start=query.from_,
        end=query.to,
        events=frozenset(query.event),
        resource=query.resource or "",
        actor=query.actor or "",
        outcome=query.outcome or "",
        ip=query.ip or "",
    )
    found, following = await activity.page(
        call.session, call.account_id, filters, limit=query.limit, cursor=query.cursor
    )
    return ActivityPage(data=[EntryAnswer.model_validate(entry) for entry in found], next_cursor=following)


@operation(
    "GET", "/activity/events", "activity.events", roles=READER, answer=EventsAnswer, resource="activity"
)
async def events(call: Call) -> EventsAnswer:
    """The names of all events, each a read or a write."""
    return EventsAnswer(
        data=[EventAnswer(event=name, kind=kind) for name, kind in sorted(activity.EVENTS.items())]
    )
