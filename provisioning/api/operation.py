"""An API operation: one declaration gives its route, roles, event, input, output and OpenAPI text."""

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Any, ClassVar, Final, TypeVar, cast

import pydantic
from pydantic import ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.activity import EVENTS
from provisioning.callers import Caller
from provisioning.devices import Rendering
from provisioning.errors import Forbidden, Stale
from provisioning.fields import Input
from provisioning.holdings import Holdings
from provisioning.reach import Reach
from provisioning.vault import Vault

ADMIN: Final = frozenset({"admin"})
SWITCH: Final = frozenset({"admin", "switch"})
TECHNICIAN: Final = frozenset({"admin", "technician"})
READER: Final = frozenset({"admin", "technician", "viewer"})


class Answer(pydantic.BaseModel):
    """What an operation answers. Fields in `volatile` change by themselves and are not in the ETag."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
    volatile: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def known_by_etag(cls) -> bool:
        """Whether the ETag stands for all that is answered, so that who has it needs no other answer."""
        return "next_cursor" not in cls.model_fields and not cls.volatile and cls.etag is Answer.etag

    def etag(self) -> str:
        text = json.dumps(self.model_dump(mode="json", exclude=set(self.volatile)), sort_keys=True)
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


Made = TypeVar("Made", bound=Answer)


@dataclass(slots=True)
class Call:
    """One call of an operation: who calls, in which transaction, and what the activity entry is to say.

    `has_relay` is whether mails can leave; `mails` is set where some are to leave once it is committed.
    `origin` is where the server itself was reached, None where it cannot tell.
    `base_url` is the server's own address, which is not always the phones'.
    `reach` is whom the server may send SIP to; `asks` is set where phones are to be asked after that.
    """

    session: AsyncSession
    vault: Vault
    rendering: Rendering
    caller: Caller
    ip: str
    path: Mapping[str, str]
    headers: Mapping[str, str]
    event: str
    resource: str
    has_relay: bool
    origin: str | None
    base_url: str
    holdings: Holdings
    reach: Reach
    writes: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    mails: bool = False
    asks: bool = False

    @property
    def account_id(self) -> str:
        return self.caller.account_id

    @property
    def id(self) -> str:
        return self.path["id"]

    @property
    def if_match(self) -> str | None:
        return self.headers.get("If-Match")

    @property
    def reveals(self) -> bool:
        """Whether the caller may see secrets."""
        return self.caller.role in TECHNICIAN

    def reveal(self, event: str) -> None:
        """Makes the call one that shows secrets. Raises `Forbidden` for a caller who may not see them."""
        self.event = event
        if not self.reveals:
            raise Forbidden(f"a {self.caller.role} may not see secrets")

    def expect(self, current: Answer) -> None:
        """Raises `Stale` when the caller says which version it changes and that is not the current one."""
        if self.if_match is not None and self.if_match.strip() not in {"*", current.etag()}:
            raise Stale("it was changed by somebody else since you read it")

    def secret(self, name: str) -> None:
        """Notes in the entry that a secret is another one, not which."""
        self.detail.setdefault("changed", {})[name] = "changed"

    def created(self, made: Made) -> Made:
        """Names what was made in the entry, and how it is."""
        self.resource = f"{self.resource}/{made.model_dump(include={'id'})['id']}"
        self.changed(None, made)
        return made

    def deletes(self, current: Answer) -> None:
        """Notes in the entry what is going to be no more. Raises `Stale` as `expect` does."""
        self.expect(current)
        self.changed(current, None)

    def changed(self, before: Answer | None, after: Answer | None) -> None:
        """Notes in the entry what is not as it was; None is what was not there or is no more."""
        old, new = ({} if answer is None else answer.model_dump(mode="json") for answer in (before, after))
        volatile = (before or after or Answer()).volatile
        names = [name for name in {**old, **new} if old.get(name) != new.get(name) and name not in volatile]
        self.detail["changed"] = {name: {"old": old.get(name), "new": new.get(name)} for name in names}


Handler = Callable[..., Awaitable[Any]]
Prepare = Callable[[Any], Awaitable[dict[str, Any]]]
Declared = TypeVar("Declared", bound=Handler)


@dataclass(frozen=True, slots=True)
class Operation:
    """`resource` is a pattern over the path's names, `status` that of success, `failures` further ones.

    `accepts` and `produces` are the types of a body and an answer that are not JSON. With `file_limit`
    the body comes as multipart/form-data, and with it a part `file` of so many bytes at most. `streams`
    are the types of a `Streamed` answer. One that `tries` is entered among the writes, but changes nothing
    of the account and holds up nobody. `prepare` is done with the body before the transaction begins;
    what it gives are further arguments of the handler.
    """

    method: str
    path: str
    event: str
    roles: frozenset[str]
    handler: Handler
    summary: str
    resource: str
    answer: Any = None
    body: type[Input] | None = None
    query: type[Input] | None = None
    status: int = 200
    accepts: str | None = None
    produces: str | None = None
    failures: tuple[int, ...] = ()
    prepare: Prepare | None = None
    file_limit: int | None = None
    streams: tuple[str, ...] = ()
    tries: bool = False

    @property
    def succeeds(self) -> int:
        """The status of success."""
        return self.status if self.answer or self.produces or self.streams else 204

    @property
    def writes(self) -> bool:
        return EVENTS[self.event] == "write" and not self.tries

    @property
    def conditional(self) -> bool:
        """Whether it answers 304 to who has its answer already."""
        return self.method == "GET" and self.answer is not None and self.answer.known_by_etag()


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    path: str,
    event: str,
    *,
    roles: frozenset[str],
    resource: str = "account",
    answer: Any = None,
    body: type[Input] | None = None,
    query: type[Input] | None = None,
    status: int = 200,
    accepts: str | None = None,
    produces: str | None = None,
    failures: tuple[int, ...] = (),
    prepare: Prepare | None = None,
    file_limit: int | None = None,
    streams: tuple[str, ...] = (),
    tries: bool = False,
) -> Callable[[Declared], Declared]:
    """Declares the function below it as the operation; its docstring is the summary."""

    def declare(handler: Declared) -> Declared:
        summary = (handler.__doc__ or "").strip()
        OPERATIONS.append(
            Operation(
                method,
                path,
                event,
                roles,
                handler,
                summary,
                resource,
                answer,
                body,
                query,
                status,
                accepts,
                produces,
                failures,
                prepare,
                file_limit,
                streams,
                tries,
            )
        )
        return handler

    return declare


@functools.cache  # one name in the document is one model
def patch(form: type[Input]) -> type[Input]:
    """The form with every field optional: what is absent stays as it is, null is a value like others."""
    fields: dict[str, Any] = {
        name: (info.rebuild_annotation(), pydantic.Field(default=None, repr=info.repr))
        for name, info in form.model_fields.items()
    }
    return pydantic.create_model(f"{form.__name__.removesuffix('Form')}Patch", __base__=Input, **fields)


def merged(form: Input, body: Input) -> dict[str, Any]:
    """The values of `form` with those that the patch `body` names put over them."""
    return form.model_dump() | body.model_dump(exclude_unset=True)


class Paging(Input):
    """`?limit=1..200&cursor=`"""

    model_config = ConfigDict(strict=False)
    limit: int = pydantic.Field(default=50, ge=1, le=200)
    cursor: str | None = pydantic.Field(default=None, pattern=r"^[a-z]{2,4}_[0-9a-z]{26}$")


def page_of(item: type[Answer]) -> type[Answer]:
    """`{"data": […], "next_cursor": null | "…"}`"""
    return pydantic.create_model(
        f"{item.__name__.removesuffix('Answer')}Page",
        __base__=Answer,
        data=(cast(Any, GenericAlias(list, (item,))), ...),
        next_cursor=(str | None, ...),
    )
