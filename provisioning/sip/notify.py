"""A NOTIFY outside of any dialog (RFC 3261, 6665), and the final answer to it."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from provisioning.errors import invalid
from provisioning.sip import digest
from provisioning.sip.channel import IP, Channel, Target, opened
from provisioning.sip.digest import Credentials
from provisioning.sip.message import Response, request, uri

_EVENT: Final = re.compile(r"[A-Za-z0-9._~-]+(;[A-Za-z0-9._~-]+(=[A-Za-z0-9._~-]+)?)*")
# Who asks, and where the answer belongs.
_CHALLENGES: Final = {
    401: ("www-authenticate", "Authorization"),
    407: ("proxy-authenticate", "Proxy-Authorization"),
}


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds, as in RFC 3261 17.1.2: `t1` is the first wait for an answer over UDP, which doubles up to
    `t2`; after `f` there is none. `whole` bounds everything, challenges and connecting included."""

    t1: float = 0.5
    t2: float = 4.0
    f: float = 32.0
    whole: float = 45.0


@dataclass(frozen=True, slots=True)
class Notify:
    """`to` is the URI of whom it is for and `sender` that of whom it is from; `through` is whether the target
    is a proxy on the way, which a Route header then names. Without `credentials` no challenge is answered."""

    to: str
    sender: str
    event: str
    target: Target
    through: bool = False
    credentials: Credentials | None = field(default=None, repr=False)


class NoAnswer(Exception):
    """Nothing final came; the text says what else is known, for people."""


@dataclass(slots=True)
class _Asking:
    """What stays the same in each request of one NOTIFY."""

    notify: Notify
    channel: Channel
    timings: Timings
    call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    cseq: int = 0
    met: dict[str, str] = field(default_factory=dict)


async def send(notify: Notify, timings: Timings, allowed: Callable[[IP], bool]) -> Response:
    """The final answer, whatever it is. Raises `NoAnswer` or `Unreachable`, and `Invalid` for a header that
    cannot be sent; `allowed` says which addresses may be sent to."""
    if not _EVENT.fullmatch(notify.event):
        raise invalid("event", "is no event of SIP")
    try:
        async with asyncio.timeout(timings.whole), opened(notify.target, allowed) as channel:
            return await _ask(_Asking(notify, channel, timings))
    except TimeoutError:
        raise NoAnswer("") from None


async def _ask(asking: _Asking) -> Response:
    """A challenge of each kind is met once: who asks again does not know our password."""
    while True:
        answer = await _transaction(asking)
        challenge, name = _CHALLENGES.get(answer.status, ("", ""))
        who = asking.notify.credentials
        if not name or name in asking.met or who is None:
            return answer
        made = digest.answer(answer.all(challenge), who, method="NOTIFY", uri=asking.notify.to)
        if made is None:
            return answer
        asking.met[name] = made


async def _transaction(asking: _Asking) -> Response:
    """One request, sent again while nothing comes (17.1.2.2), and the final answer to it."""
    asking.cseq += 1
    branch = f"z9hG4bK{secrets.token_hex(16)}"
    data = _request(asking, branch)
    loop, timings, channel = asyncio.get_running_loop(), asking.timings, asking.channel
    end = loop.time() + timings.f
    wait = timings.t1
    again = loop.time()
    while (now := loop.time()) < end:
        if now >= again:
            channel.send(data)
            again = end if channel.reliable else now + wait
            wait = min(2 * wait, timings.t2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(again, end)):
                answer = await _got(channel)
                if not answer.answers(branch, asking.cseq, "NOTIFY"):
                    continue
                if answer.status >= 200:
                    return answer
                wait = timings.t2  # it has arrived, and is asked for less often
    raise NoAnswer("")


async def _got(channel: Channel) -> Response:
    try:
        return await channel.get()
    except ConnectionRefusedError:
        raise NoAnswer("nothing takes SIP there") from None
    except OSError:
        raise NoAnswer("the connection broke") from None


def _request(asking: _Asking, branch: str) -> bytes:
    notify = asking.notify
    transport = notify.target.transport
    host, port = asking.channel.local
    ours = uri(host, port=port)
    headers = [
        ("Via", f"SIP/2.0/{transport.upper()} {ours.removeprefix('sip:')};rport;branch={branch}"),
        ("Max-Forwards", "70"),
        ("From", f"<{notify.sender}>;tag={asking.tag}"),
        ("To", f"<{notify.to}>"),
        ("Call-ID", asking.call_id),
        ("CSeq", f"{asking.cseq} NOTIFY"),
        ("Contact", f"<{ours};transport={transport}>"),
        ("Event", notify.event),
        # Each NOTIFY says how its subscription stands (RFC 6665); there is none to go on.
        ("Subscription-State", "terminated"),
        ("User-Agent", "provisioning"),
        *asking.met.items(),
    ]
    if notify.through:
        proxy = uri(notify.target.host, port=notify.target.port)
        headers.insert(1, ("Route", f"<{proxy};transport={transport};lr>"))
    return request("NOTIFY", notify.to, headers)
