"""A NOTIFY reaches whom it is for, over whatever way, and its answer is told from all else that comes."""

import asyncio
import hashlib
import ipaddress
import ssl
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from provisioning.errors import Invalid
from provisioning.reach import Reach
from provisioning.sip.channel import Target, Transport, Unreachable
from provisioning.sip.digest import Credentials, answer
from provisioning.sip.message import Response, Stream, response, uri
from provisioning.sip.notify import NoAnswer, Notify, Timings, send
from tests.certificates import self_signed
from tests.sip_peer import Peer, Request

QUICK: Final = Timings(t1=0.02, t2=0.04, f=0.3, whole=2.0)
LONG: Final = Timings(t1=30.0, t2=30.0, f=30.0, whole=30.0)
PASSWORD: Final = 'p"ss\\word'
ANN: Final = Credentials("4201", PASSWORD)


def ok(asked: Request) -> list[bytes]:
    return [asked.answered("200 OK")]


def notify(port: int, transport: Transport = "udp", **changes: Any) -> Notify:
    target = Target("127.0.0.1", port, transport, trust="any")
    found = Notify("sip:4201@sip.example.com", "sip:4201@sip.example.com", "check-sync", target)
    return replace(found, **changes)


async def asked(wanted: Notify, timings: Timings = QUICK) -> Response:
    return await send(wanted, timings, lambda _ip: True)


class TestTheRequest:
    async def test_it_is_what_rfc_3261_asks_of_one_outside_of_a_dialog(self) -> None:
        async with Peer(ok).udp() as peer:
            found = await asked(notify(peer.port, event="check-sync;reboot=true"), LONG)
        assert (found.status, found.reason) == (200, "OK")
        (sent,) = peer.requests
        assert sent.first == "NOTIFY sip:4201@sip.example.com SIP/2.0"
        assert sent["Via"].startswith("SIP/2.0/UDP 127.0.0.1:")
        assert ";rport;branch=z9hG4bK" in sent["Via"]
        assert sent["Max-Forwards"] == "70"
        assert sent["From"].startswith("<sip:4201@sip.example.com>;tag=")
        assert sent["To"] == "<sip:4201@sip.example.com>"
        assert sent["CSeq"] == "1 NOTIFY"
        assert sent["Contact"].startswith("<sip:127.0.0.1:")
        assert sent["Event"] == "check-sync;reboot=true"
        assert sent["Subscription-State"] == "terminated"
        assert sent["Content-Length"] == "0"
        assert not sent.has("Route") and not sent.has("Authorization")
        assert len(sent["Call-ID"]) == 32

    async def test_two_have_nothing_in_common(self) -> None:
        async with Peer(ok).udp() as peer:
            for _ in range(2):
                await asked(notify(peer.port))
        one, other = peer.requests
        for name in ("Via", "From", "Call-ID"):
            assert one[name] != other[name]

    async def test_a_proxy_on_the_way_is_named_as_a_loose_route(self) -> None:
        async with Peer(ok).udp() as peer:
            await asked(notify(peer.port, through=True))
        assert peer.requests[0]["Route"] == f"<sip:127.0.0.1:{peer.port};transport=udp;lr>"
        assert peer.requests[0].first == "NOTIFY sip:4201@sip.example.com SIP/2.0"

    @pytest.mark.parametrize(
        "event", ["check-sync\r\nX: 1", "check-sync;a=b\n", "", "check sync", 'a"b', "check-sync;\x00=1"]
    )
    async def test_an_event_cannot_bring_another_header(self, event: str) -> None:
        async with Peer(ok).udp() as peer:
            with pytest.raises(Invalid):
                await asked(notify(peer.port, event=event))
        assert peer.requests == []

    @pytest.mark.parametrize(
        "bad", ["sip:4201@a\r\nX: 1", "sip:a b@c", "sip:a@b>;tag=1", "sips:a@b", "sip:a@b?Subject=x", "tel:1"]
    )
    async def test_a_uri_cannot_either(self, bad: str) -> None:
        async with Peer(ok).udp() as peer:
            with pytest.raises(Invalid):
                await asked(notify(peer.port, to=bad))
            if "\r" in bad:
                with pytest.raises(Invalid):
                    await asked(notify(peer.port, sender=bad))
        assert peer.requests == []

    def test_a_uri_is_made_of_hosts_of_every_kind(self) -> None:
        assert uri("sip.example.com", user="ann+desk~1") == "sip:ann+desk~1@sip.example.com"
        assert uri("2001:db8::1", port=5060) == "sip:[2001:db8::1]:5060"
        for host, user in (("a b", None), ("a;x", None), ("a", "b@c"), ("a\r\n", None), ("", None)):
            with pytest.raises(Invalid):
                uri(host, user=user)


class TestOverUdp:
    async def test_it_is_sent_again_until_it_is_answered(self) -> None:
        """The first three are lost; each wait is twice the one before, up to T2."""
        times: list[float] = []

        def lossy(asked: Request) -> list[bytes]:
            times.append(asyncio.get_running_loop().time())
            return ok(asked) if len(times) == 4 else []

        async with Peer(lossy).udp() as peer:
            assert (await asked(notify(peer.port), Timings(t1=0.05, t2=0.1, f=5, whole=5))).status == 200
        assert len({sent["Via"] for sent in peer.requests}) == 1
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits[0] >= 0.045 and waits[1] >= 0.095 and waits[2] >= 0.095

    async def test_without_an_answer_it_ends_when_timer_f_does(self) -> None:
        async with Peer(lambda _asked: []).udp() as peer:
            with pytest.raises(NoAnswer):
                await asked(notify(peer.port), Timings(t1=0.02, t2=0.04, f=0.2, whole=20))
        assert 4 <= len(peer.requests) <= 7

    async def test_a_provisional_answer_is_none_and_asks_for_patience(self) -> None:
        """After it there is one more request after the first wait, then one each T2, which is long here."""

        def patient(asked: Request) -> list[bytes]:
            return [asked.answered("100 Trying")]

        async with Peer(patient).udp() as peer:
            with pytest.raises(NoAnswer):
                await asked(notify(peer.port), Timings(t1=0.02, t2=9.0, f=0.3, whole=20))
        assert len(peer.requests) == 2

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(lambda asked: b"\x00\xff garbage", id="garbage"),
            pytest.param(lambda asked: b"", id="nothing"),
            pytest.param(lambda asked: b"\r\n\r\n", id="a keep-alive"),
            pytest.param(lambda asked: b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", id="a request"),
            pytest.param(lambda asked: b"HTTP/1.1 200 OK\r\n\r\n", id="http"),
            pytest.param(
                lambda asked: asked.answered("403 No", via="SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx"),
                id="another branch",
            ),
            pytest.param(lambda asked: asked.answered("403 No", cseq="7 NOTIFY"), id="another CSeq"),
            pytest.param(lambda asked: asked.answered("403 No", cseq="1 INVITE"), id="another method"),
            pytest.param(
                lambda asked: asked.answered("403 No", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKy"),
                id="somebody else's behind us",
            ),
            pytest.param(lambda asked: asked.answered("403 No").replace(b"CSeq", b"X-Seq"), id="no CSeq"),
            pytest.param(lambda asked: asked.answered("999 No"), id="no status"),
        ],
    )
    async def test_what_is_no_answer_to_it_is_passed_over(self, other: Any) -> None:
        async with Peer(lambda asked: [other(asked), asked.answered("202 Accepted")]).udp() as peer:
            found = await asked(notify(peer.port), LONG)
        assert (found.status, found.reason) == (202, "Accepted")

    async def test_short_names_and_folded_lines_are_understood(self) -> None:
        def terse(asked: Request) -> list[bytes]:
            via = asked["Via"].replace(";rport", ";\r\n\t rport=5060;received=127.0.0.1 ")
            return [f"SIP/2.0 480\r\nv : {via}\r\nCSEQ:  1   NOTIFY\r\nl: 0\r\n\r\n".encode()]

        async with Peer(terse).udp() as peer:
            found = await asked(notify(peer.port), LONG)
        assert (found.status, found.reason) == (480, "")

    async def test_where_nothing_listens_nobody_waits(self) -> None:
        async with Peer(ok).udp() as peer:
            pass
        with pytest.raises(NoAnswer, match="nothing takes SIP there"):
            await asked(notify(peer.port), LONG)

    async def test_a_redirection_is_an_answer_and_not_followed(self) -> None:
        moved = lambda asked: [asked.answered("302 Moved", "Contact: <sip:192.0.2.1>")]  # noqa: E731
        async with Peer(moved).udp() as peer:
            assert (await asked(notify(peer.port), LONG)).status == 302
        assert len(peer.requests) == 1


def challenge(kind: str, *values: str) -> Any:
    """Challenges what brings no credentials, and takes what does."""
    header, wants = {
        "401": ("WWW-Authenticate", "Authorization"),
        "407": ("Proxy-Authenticate", "Proxy-Authorization"),
    }[kind]

    def answers(asked: Request) -> list[bytes]:
        if asked.has(wants):
            return ok(asked)
        return [asked.answered(f"{kind} Who", *(f"{header}: {value}" for value in values))]

    return answers


def hashed(name: str, *parts: str) -> str:
    return hashlib.new(name, ":".join(parts).encode()).hexdigest()


class TestDigest:
    @pytest.mark.parametrize("kind", ["401", "407"])
    @pytest.mark.parametrize(("algorithm", "name"), [("MD5", "md5"), ("SHA-256", "sha256")])
    async def test_a_challenge_is_met_with_the_password(self, kind: str, algorithm: str, name: str) -> None:
        said = f'Digest realm="a, \\"b\\"",nonce="n=1",qop="auth-int,auth",opaque="o",algorithm={algorithm}'
        async with Peer(challenge(kind, said)).udp() as peer:
            assert (await asked(notify(peer.port, credentials=ANN), LONG)).status == 200
        first, second = peer.requests
        assert (first["CSeq"], second["CSeq"]) == ("1 NOTIFY", "2 NOTIFY")
        assert first["Call-ID"] == second["Call-ID"] and first["From"] == second["From"]
        assert first["Via"] != second["Via"]
        header = "Authorization" if kind == "401" else "Proxy-Authorization"
        ha1 = hashed(name, "4201", 'a, \\"b\\"', PASSWORD)
        ha2 = hashed(name, "NOTIFY", "sip:4201@sip.example.com")
        cnonce = second.parameter(header, "cnonce")
        assert second.parameter(header, "response") == hashed(
            name, ha1, "n=1", "00000001", cnonce, "auth", ha2
        )
        assert second.parameter(header, "algorithm") == algorithm
        assert second.parameter(header, "opaque") == "o"
        assert second.parameter(header, "nc") == "00000001"
        assert second[header].startswith('Digest username="4201", realm="a, \\"b\\"", nonce="n=1", ')
        assert PASSWORD not in second[header]

    def test_a_server_that_knows_no_qop_is_answered_as_rfc_2069_says(self) -> None:
        made = answer(['Digest realm="r", nonce="n"'], ANN, method="NOTIFY", uri="sip:a@b")
        ha1, ha2 = hashed("md5", "4201", "r", PASSWORD), hashed("md5", "NOTIFY", "sip:a@b")
        assert made == (
            'Digest username="4201", realm="r", nonce="n", uri="sip:a@b", '
            f'response="{hashed("md5", ha1, "n", ha2)}"'
        )

    def test_the_first_challenge_that_is_understood_is_met(self) -> None:
        """RFC 8760: the one that the server likes best comes first."""
        known = ['Digest realm="r", nonce="n", algorithm=SHA-256', 'Digest realm="r", nonce="n"']
        made = answer(
            ["Bearer x", 'Digest realm="r", nonce="n", algorithm=SHA-512-256', *known],
            ANN,
            method="NOTIFY",
            uri="sip:a@b",
        )
        assert made and made.endswith("algorithm=SHA-256")

    @pytest.mark.parametrize(
        "said",
        [
            'Digest realm="r", nonce="n", qop="auth-int"',
            'Digest realm="r", nonce="n", algorithm=MD5-sess',
            'Digest realm="r"',
            'Digest realm="r, nonce="n"',
            "Digest",
            "Basic realm=x",
            "",
        ],
    )
    async def test_a_challenge_that_cannot_be_met_is_the_answer(self, said: str) -> None:
        async with Peer(challenge("401", said or "x")).udp() as peer:
            assert (await asked(notify(peer.port, credentials=ANN), LONG)).status == 401
        assert len(peer.requests) == 1

    async def test_whoever_does_not_take_the_password_is_not_asked_a_third_time(self) -> None:
        said = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
        async with Peer(lambda asked: [asked.answered("401 No", said)]).udp() as peer:
            assert (await asked(notify(peer.port, credentials=ANN), LONG)).status == 401
        assert len(peer.requests) == 2

    async def test_a_proxy_and_the_phone_behind_it_may_both_ask(self) -> None:
        proxy = challenge("407", 'Digest realm="proxy", nonce="n", qop="auth"')
        phone = challenge("401", 'Digest realm="phone", nonce="m", qop="auth"')

        def both(asked: Request) -> Any:
            return phone(asked) if asked.has("Proxy-Authorization") else proxy(asked)

        async with Peer(both).udp() as peer:
            assert (await asked(notify(peer.port, credentials=ANN), LONG)).status == 200
        assert [sent["CSeq"][0] for sent in peer.requests] == ["1", "2", "3"]

    async def test_without_credentials_nobody_is_told_anything(self) -> None:
        async with Peer(challenge("401", 'Digest realm="r", nonce="n"')).udp() as peer:
            assert (await asked(notify(peer.port), LONG)).status == 401
        assert len(peer.requests) == 1

    def test_the_password_is_in_no_repr(self) -> None:
        assert PASSWORD not in repr(ANN)
        assert "4201" in repr(ANN) and "Credentials" not in repr(notify(1, credentials=ANN))


class TestOverAStream:
    @pytest.mark.parametrize("pieces", [1, 7, 65536])
    async def test_an_answer_may_come_in_pieces(self, pieces: int) -> None:
        """Before it a keep-alive, a provisional answer and somebody's message with a body."""

        def answers(asked: Request) -> list[bytes]:
            body = b"OPTIONS sip:a@b SIP/2.0\r\nl: 24\r\n\r\nSIP/2.0 403 No\r\n\r\n\r\n123"
            return [b"\r\n\r\n", body + asked.answered("100 Trying"), asked.answered("200 OK")]

        async with Peer(answers, pieces=pieces).tcp() as peer:
            assert (await asked(notify(peer.port, "tcp"), LONG)).status == 200
        assert peer.requests[0]["Via"].startswith("SIP/2.0/TCP 127.0.0.1:")
        assert peer.requests[0]["Contact"].endswith(";transport=tcp>")

    async def test_nothing_is_sent_twice(self) -> None:
        async with Peer(lambda _asked: []).tcp() as peer:
            with pytest.raises(NoAnswer):
                await asked(notify(peer.port, "tcp"))
        assert len(peer.requests) == 1

    async def test_a_challenge_is_met_on_the_same_connection(self) -> None:
        async with Peer(challenge("407", 'Digest realm="r", nonce="n", qop="auth"')).tcp() as peer:
            assert (await asked(notify(peer.port, "tcp", credentials=ANN), LONG)).status == 200
        assert len({sent["Via"].split(";")[0] for sent in peer.requests}) == 1

    async def test_a_connection_that_breaks_is_no_answer(self) -> None:
        async with Peer(lambda _asked: [], closes=True).tcp() as peer:
            with pytest.raises(NoAnswer, match="the connection broke"):
                await asked(notify(peer.port, "tcp"), LONG)

    async def test_a_stream_that_cannot_be_cut_is_given_up(self) -> None:
        async with Peer(lambda _asked: [b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n"]).tcp() as peer:
            with pytest.raises(NoAnswer, match="the connection broke"):
                await asked(notify(peer.port, "tcp"), LONG)

    async def test_where_nothing_listens_it_is_told_so(self) -> None:
        async with Peer(ok).tcp() as peer:
            pass
        with pytest.raises(Unreachable, match="the connection was refused"):
            await asked(notify(peer.port, "tcp"), LONG)

    @pytest.mark.parametrize("junk", [b"x" * 70_000, b"a: b\r\n\r\n", b"a\r\nl: 9999999\r\n\r\n"])
    def test_a_stream_without_an_end_is_no_stream_of_sip(self, junk: bytes) -> None:
        with pytest.raises(ValueError):
            list(Stream().feed(junk))

    def test_a_stream_may_hold_several_messages(self) -> None:
        one, other = b"a\r\nContent-Length : 2\r\nb: c\r\n\r\nxy", b"d\r\nL:0\r\n\r\n"
        stream = Stream()
        cut = [m for byte in one + b"\r\n" + other for m in stream.feed(bytes([byte]))]
        assert cut == [one, other] == list(Stream().feed(one + other))


class TestOverTls:
    @pytest.fixture
    def served(self, tmp_path: Path) -> tuple[ssl.SSLContext, str]:
        """A server's side, and its certificate, which names 127.0.0.1."""
        cert, key = self_signed(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        return context, cert.read_text()

    async def test_any_certificate_will_do_where_the_options_say_so(
        self, served: tuple[ssl.SSLContext, str]
    ) -> None:
        async with Peer(ok).tcp(served[0]) as peer:
            assert (await asked(notify(peer.port, "tls"), LONG)).status == 200
        assert peer.requests[0]["Via"].startswith("SIP/2.0/TLS 127.0.0.1:")

    @pytest.mark.parametrize("trust", ["public", "custom"])
    async def test_one_that_is_not_trusted_is_told_nothing(
        self, served: tuple[ssl.SSLContext, str], trust: Any, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        other = self_signed(tmp_path_factory.mktemp("other"))[0].read_text()
        async with Peer(ok).tcp(served[0]) as peer:
            target = Target("127.0.0.1", peer.port, "tls", trust, other)
            with pytest.raises(Unreachable, match="its certificate is not trusted"):
                await asked(notify(peer.port, target=target), LONG)
        assert peer.requests == []

    async def test_one_of_the_own_ca_is_trusted_for_its_name_alone(
        self, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        for name, words in (("127.0.0.1", ""), ("192.0.2.1", "its certificate is not trusted")):
            cert, key = self_signed(tmp_path_factory.mktemp("ca"), name, alternative=True)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(cert, key)
            async with Peer(ok).tcp(context) as peer:
                target = Target("127.0.0.1", peer.port, "tls", "custom", cert.read_text())
                if words:
                    with pytest.raises(Unreachable, match=words):
                        await asked(notify(peer.port, target=target), LONG)
                else:
                    assert (await asked(notify(peer.port, target=target), LONG)).status == 200


class TestReach:
    @pytest.mark.parametrize(
        ("address", "allowed"),
        [
            ("127.0.0.1", False),
            ("169.254.169.254", False),
            ("224.0.1.75", False),
            ("0.0.0.0", False),
            ("::1", False),
            ("::ffff:127.0.0.1", False),
            ("fe80::1", False),
            ("10.1.2.3", True),
            ("192.168.1.9", True),
            ("203.0.113.9", True),
            ("2001:db8::9", True),
        ],
    )
    def test_without_networks_it_is_anywhere_but_this_machine(self, address: str, allowed: bool) -> None:
        assert Reach().allows(ipaddress.ip_address(address)) is allowed

    async def test_a_name_is_looked_up_before_it_is_judged(self) -> None:
        async with Peer(ok).udp() as peer:
            target = Target("localhost", peer.port, "udp")
            with pytest.raises(Unreachable, match="may not be asked from this server"):
                await send(notify(0, target=target), LONG, Reach().allows)
        assert peer.requests == []

    async def test_a_name_that_is_none_is_told_so(self) -> None:
        target = Target("no-such-host.invalid", 5060, "udp")
        with pytest.raises(Unreachable, match="its name is not known"):
            await asked(notify(0, target=target), LONG)


def test_what_is_no_sip_is_no_answer() -> None:
    for data in (b"", b"SIP/2.0\r\n\r\n", b"SIP/2.0 2xx OK\r\n\r\n", b"SIP/2.0 200 OK\r\nno colon\r\n\r\n"):
        assert response(data) is None


def test_a_phrase_is_cut_to_what_can_be_shown() -> None:
    found = response(b"SIP/2.0 403 \x1b[31mNo\x07 " + b"x" * 300 + b"\r\n\r\n")
    assert found and found.reason.startswith("[31mNo x") and len(found.reason) == 100
