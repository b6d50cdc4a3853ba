"""Runs an operation: who calls, may they, is the input right; one transaction and one activity entry."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import accounts, activity, callers, origin
from provisioning.api import problem, stream
from provisioning.api.operation import OPERATIONS, Answer, Call, Handler, Operation
from provisioning.api.problem import Refused
from provisioning.api.reading import read_form, read_json, read_query, read_text
from provisioning.api.stream import Streamed
from provisioning.callers import Caller
from provisioning.db import now
from provisioning.errors import NotFound, ProvisioningError, invalid
from provisioning.http import client_address, own_origin, session_value
from provisioning.parts import ANONYMOUS, CONFIG, DATABASE, HOLDINGS, RESYNC_SENDER, SENDER, VAULT, rendering

_log = logging.getLogger(__name__)
_running: set[asyncio.Task[web.Response]] = set()
_ID: Final = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}")


@dataclass(slots=True)
class _Run:
    """One request on its way; `caller` is None until it is recognised."""

    operation: Operation
    request: web.Request
    ip: str
    resource: str
    event: str
    path: Mapping[str, str]
    caller: Caller | None = None


def handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        ip = client_address(request, request.app[CONFIG].trusted_proxies)
        resource = operation.resource.format_map(request.match_info)
        run = _Run(operation, request, ip, resource, operation.event, request.match_info)
        # A client that goes away, or a server that is told to end, does not stop an operation half way.
        task = asyncio.create_task(_ended(run))
        _running.add(task)  # the loop itself would let go of it
        task.add_done_callback(_running.discard)
        return await asyncio.shield(task)

    return handle


async def read(
    request: web.Request,
    caller: Caller,
    work: Handler,
    path: Mapping[str, str] = MappingProxyType({}),
    **inputs: Any,
) -> Any:
    """What the operation that is declared over `work` gives a page of `caller`, with its entry.

    Raises what the operation raises, and `Refused` when the caller may not read this.
    """
    operation = next(operation for operation in OPERATIONS if operation.handler is work)
    ip = client_address(request, request.app[CONFIG].trusted_proxies)
    resource = operation.resource.format_map(path)
    run = _Run(operation, request, ip, resource, operation.event, path, caller)
    try:
        _permit(run, caller)
        return await _done(run, caller, inputs)
    except ProvisioningError as error:
        await _failed(run, problem.answer(error))
        raise


async def _ended(run: _Run) -> web.Response:
    """The answer, whatever the end; its entry is made before it is given."""
    operation = run.operation
    try:
        return await _answer(run)
    except ProvisioningError as error:
        return await _failed(run, problem.answer(error))
    except ConnectionError:
        # The client has gone in the middle of its body; nobody reads the answer, but the entry is made.
        return await _failed(run, problem.answer(invalid("", "the body ended before its time")))
    except problem.UNAVAILABLE as error:
        _log.error("%s: the database: %s", operation.event, type(error).__name__)
        if isinstance(error, TimeoutError):  # who waited in vain does not wait again for the entry of that
            return problem.unavailable(error)
        return await _failed(run, problem.unavailable(error))
    except Exception as error:
        _log.error("%s: %s at %s", operation.event, type(error).__name__, place(error))
        return await _failed(run, problem.problem(500, "the operation failed and changed nothing"))


async def _answer(run: _Run) -> web.Response:
    run.caller = caller = await _recognise(run)
    _permit(run, caller)
    result = await _done(run, caller, await _inputs(run))
    if isinstance(result, Streamed):
        return stream.response(result, run.request.app[DATABASE])
    return _success(run, result)


def _permit(run: _Run, caller: Caller) -> None:
    if caller.role not in run.operation.roles:
        raise Refused(403, f"a {caller.role} may not do this")
    if "id" in run.path and not _ID.fullmatch(run.path["id"]):
        kind = run.operation.resource.partition("/")[0]
        raise NotFound(f"there is no such {kind.replace('_', ' ')}")


async def _done(run: _Run, caller: Caller, inputs: dict[str, Any]) -> Any:
    """What the handler gives. A write and its entry are one transaction; a read is entered before anybody
    sees it, but in a transaction after its own, so that a long search holds up no writer."""
    database = run.request.app[DATABASE]
    if run.operation.writes:
        async with database.write() as session:
            await accounts.lock(session, caller.account_id)
            call = _call(run, caller, session)
            result = await _handled(run, call, inputs)
            await _enter(session, call)
        if call.mails:
            run.request.app[SENDER].wake()
        if call.asks:
            run.request.app[RESYNC_SENDER].wake()
    else:
        async with database.read() as session:
            call = _call(run, caller, session)
            result = await _handled(run, call, inputs)
        async with database.write() as session:
            await _enter(session, call)
    return result


def _call(run: _Run, caller: Caller, session: AsyncSession) -> Call:
    return Call(
        session=session,
        vault=run.request.app[VAULT],
        rendering=rendering(run.request.app),
        caller=caller,
        ip=run.ip,
        path=run.path,
        headers=run.request.headers,
        event=run.event,
        resource=run.resource,
        has_relay=run.request.app[SENDER].has_relay,
        origin=own_origin(run.request),
        base_url=run.request.app[CONFIG].base_url,
        holdings=run.request.app[HOLDINGS],
        writes=run.operation.writes,
        reach=run.request.app[CONFIG].reach,
    )


async def _handled(run: _Run, call: Call, inputs: dict[str, Any]) -> Any:
    try:
        return await run.operation.handler(call, **inputs)
    finally:
        run.event, run.resource = call.event, call.resource


async def _enter(session: AsyncSession, call: Call) -> None:
    caller = call.caller
    await callers.touch(session, caller)
    await activity.record(
        session,
        caller.account_id,
        call.event,
        call.resource,
        actor=caller.actor,
        ip=call.ip,
        detail=call.detail,
    )


async def _recognise(run: _Run) -> Caller:
    request = run.request
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    cookie = session_value(request, request.app[CONFIG].base_url)
    async with request.app[DATABASE].read() as session:
        caller = await callers.recognise(
            session,
            request.app[VAULT],
            bearer=bearer.strip() if scheme.lower() == "bearer" else None,
            cookie=cookie,
        )
    if caller is None:
        raise Refused(401, "an API key or a session is needed")
    if caller.via == "session" and not origin.allows(
        request.method, request.headers, request.app[CONFIG].base_url
    ):
        run.caller = caller
        raise Refused(403, "the request comes from another site")
    return caller


async def _inputs(run: _Run) -> dict[str, Any]:
    """What the handler takes besides the call."""
    inputs: dict[str, Any] = {}
    if run.operation.query is not None:
        inputs["query"] = read_query(run.operation.query, run.request)
    if run.operation.accepts is not None:
        inputs["body"] = await read_text(run.operation.accepts, run.request)
    if run.operation.body is not None and run.operation.file_limit is not None:
        inputs |= await read_form(run.operation.body, run.request, file_limit=run.operation.file_limit)
    elif run.operation.body is not None:
        inputs["body"] = await read_json(run.operation.body, run.request)
        if run.operation.prepare is not None:
            inputs |= await run.operation.prepare(inputs["body"])
    return inputs


def _success(run: _Run, result: Any) -> web.Response:
    operation = run.operation
    headers = {"Cache-Control": "no-store"}
    if result is None:
        return web.Response(status=204, headers=headers)
    if isinstance(result, str):
        return web.Response(text=result, content_type=operation.produces, charset="utf-8", headers=headers)
    assert isinstance(result, Answer)
    if "next_cursor" not in type(result).model_fields:
        headers["ETag"] = result.etag()
    if operation.conditional and _has(run.request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return web.Response(
        status=operation.status,
        body=result.model_dump_json().encode(),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _has(request: web.Request, etag: str) -> bool:
    """Whether the caller says that it has this answer already."""
    given = ",".join(request.headers.getall("If-None-Match", ()))
    return etag in {each.strip().removeprefix("W/") for each in given.split(",")} or given.strip() == "*"


async def _failed(run: _Run, response: web.Response) -> web.Response:
    """Enters the failure in a transaction of its own; without the entry there is no other answer than 503.
    Of who is nobody known, some are."""
    caller, detail = run.caller, {"status": response.status}
    if caller is None:
        left_out = run.request.app[ANONYMOUS].take(run.event, run.ip, now())
        if left_out is None:
            return response
        if left_out:
            detail["not_entered_before"] = left_out
    try:
        async with run.request.app[DATABASE].write() as session:
            await activity.record(
                session,
                caller.account_id if caller else "",
                run.event,
                run.resource,
                actor=caller.actor if caller else "anonymous",
                ip=run.ip,
                outcome="denied" if response.status in {401, 403, 429} else "failure",
                detail=detail,
            )
    except problem.UNAVAILABLE as error:
        return response if response.status == 503 else problem.unavailable(error)
    return response


def place(error: BaseException) -> str:
    """Where it was raised; its text and its frames may hold secrets."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
