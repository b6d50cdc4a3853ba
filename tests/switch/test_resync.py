"""A resync with real SIP stacks: through Kamailio as docs/switch has it, and straight to a SIPp."""

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from provisioning.sip.channel import Target, Transport, Unreachable
from provisioning.sip.digest import Credentials
from provisioning.sip.notify import NoAnswer, Notify, Timings, send
from tests.certificates import self_signed
from tests.ports import free_port
from tests.switch.sip import Message, Phone
from tests.switch.test_kamailio import ANN, FRONT_DESK, KAMAILIO, REALM, Switch, switched

SIPP: Final = shutil.which("sipp") or "/usr/bin/sipp"
kamailio = pytest.mark.skipif(
    not Path(KAMAILIO).exists(), reason="Kamailio is not installed: `make kamailio` does so on Debian"
)
sipp = pytest.mark.skipif(
    not Path(SIPP).exists(), reason="SIPp is not installed: `make kamailio` does so on Debian"
)
HERE: Final = {"PROVISIONING_RESYNC_NETWORKS": "127.0.0.0/8"}
TIMINGS: Final = Timings(t1=0.2, t2=0.4, f=8.0, whole=10.0)


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    with switched(tmp_path_factory.mktemp("resync"), environ=HERE) as switch:
        options = {"sip_domain": REALM, "outbound_proxy": f"127.0.0.1:{switch.port}"}
        switch.api("/account/device-options", options, method="PATCH")
        yield switch


def told(switch: Switch, number: str, **body: Any) -> str:
    """What the phone whose first line this is answers to a resync, in words."""
    (device,) = switch.api(f"/devices?q={number}&limit=1")["data"]
    run = switch.api(f"/devices/{device['id']}/resync", body)
    switch.wait(lambda: switch.api(f"/resyncs/{run['id']}")["ended"])
    return str(switch.api(f"/resyncs/{run['id']}")["data"][0]["answer"])


@contextmanager
def listening(phone: Phone, status: str) -> Iterator[list[Message]]:
    """Answers the next NOTIFY of this phone, which is in the list at the end."""
    got: list[Message] = []

    def answer() -> None:
        got.append(phone.receive("^NOTIFY "))
        phone.answer(got[0], status)

    thread = threading.Thread(target=answer)
    thread.start()
    yield got
    thread.join()


@kamailio
class TestThroughKamailio:
    def test_a_phone_that_is_registered_is_reached_and_its_answer_comes_back(self, switch: Switch) -> None:
        phone = switch.phone(*FRONT_DESK)
        assert phone.register().status == 200
        with listening(phone, "489 Bad Event"):
            assert told(switch, "4201") == "refused: 489 Bad Event"
        with listening(phone, "200 OK") as got:
            assert told(switch, "4201") == "answered 200 OK"
        assert got[0].first == f"NOTIFY sip:4201@127.0.0.1:{phone.port} SIP/2.0"
        assert got[0]["Event"] == "check-sync;reboot=false"
        assert not got[0].all("Proxy-Authorization") and not got[0].all("Route")

    def test_one_that_is_not_registered_is_told_apart(self, switch: Switch) -> None:
        assert told(switch, "4206") == "refused: 480 Not Registered"

    def test_no_phone_asks_another(self, switch: Switch) -> None:
        front_desk, ann = switch.phone(*FRONT_DESK), switch.phone(*ANN)
        front_desk.register()
        uri = f"sip:4201@{REALM}"
        assert ann.request("NOTIFY", uri, ("Event", "check-sync"), to="4201").status == 403
        front_desk.password = "wrong"
        assert front_desk.request("NOTIFY", uri, ("Event", "check-sync"), to="4201").status == 407


# A registrar with one user, over UDP, TCP and TLS, that knows the newer digest.
SMALL: Final = """#!KAMAILIO
debug=2
children=2
auto_aliases=no
alias="sip.example.com"
enable_tls=yes
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "tls.so"
modparam("auth", "algorithm", "ALGORITHM")
modparam("auth", "qop", "auth")
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "private_key", "KEY")
modparam("tls", "certificate", "CERT")
request_route {
	if (is_method("REGISTER")) {
		save("location");
		exit;
	}
	if (!pv_auth_check("sip.example.com", "a password", "0", "1")) {
		auth_challenge("sip.example.com", "1");
		exit;
	}
	if (!lookup("location")) {
		sl_send_reply("404", "Not Found");
		exit;
	}
	t_relay();
}
"""


@contextmanager
def small(folder: Path, algorithm: str) -> Iterator[dict[str, int]]:
    """A Kamailio of that configuration, and its port for each transport."""
    cert, key = self_signed(folder)
    text = SMALL.replace("ALGORITHM", algorithm).replace("KEY", str(key)).replace("CERT", str(cert))
    (folder / "small.cfg").write_text(text)
    ports = {"udp": free_port(), "tls": free_port()}
    ports["tcp"] = ports["udp"]
    listen = [f"{transport}:127.0.0.1:{port}" for transport, port in ports.items()]
    command = [KAMAILIO, "-f", "small.cfg", "-DD", "-E", "-m", "64", "-Y", str(folder)]
    command += [part for each in listen for part in ("-l", each)]
    with (
        (folder / "small.log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(200):
                with suppress(OSError), socket.create_connection(("127.0.0.1", ports["tls"]), 1):
                    break
                assert process.poll() is None, (folder / "small.log").read_text()
                time.sleep(0.05)  # nobody tells us when another process can be used
            yield ports
        finally:
            process.terminate()


@kamailio
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_kamailio_takes_the_password_over_each_transport(tmp_path: Path, algorithm: str) -> None:
    me = "sip:4201@sip.example.com"
    with small(tmp_path, algorithm) as ports:
        for transport in ("udp", "tcp", "tls"):
            target = Target("127.0.0.1", ports[transport], transport, "any")
            with closing(Phone(ports["udp"], "sip.example.com", "4201", "a password")) as phone:
                assert (await asyncio.to_thread(phone.register)).status == 200
                asked = Notify(me, me, "check-sync", target, True, Credentials("4201", "a password"))

                def answer(phone: Phone = phone) -> Message:
                    got = phone.receive("^NOTIFY ")
                    phone.answer(got, "200 OK")
                    return got

                answering = asyncio.create_task(asyncio.to_thread(answer))
                found = await send(asked, TIMINGS, lambda _ip: True)
                assert (transport, found.status) == (transport, 200)
                assert (await answering)["Event"] == "check-sync"
            wrong = Notify(me, me, "check-sync", target, True, Credentials("4201", "wrong"))
            assert (await send(wrong, TIMINGS, lambda _ip: True)).status == 407


SCENARIO: Final = """<?xml version="1.0" encoding="us-ascii"?>
<scenario name="a phone that is asked to look for new settings">
  <recv request="NOTIFY" crlf="true">
    <action>
      <ereg regexp="check-sync;reboot=true" search_in="hdr" header="Event:" check_it="true" assign_to="1"/>
      <ereg regexp="terminated" search_in="hdr" header="Subscription-State:" check_it="true" assign_to="2"/>
    </action>
  </recv>
  <Reference variables="1,2"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

  ]]></send>
</scenario>
"""


@sipp
@pytest.mark.parametrize(("transport", "option"), [("udp", "u1"), ("tcp", "t1")])
async def test_sipp_as_the_phone_takes_it(tmp_path: Path, transport: Transport, option: str) -> None:
    (tmp_path / "phone.xml").write_text(SCENARIO)
    port = free_port()
    command = [SIPP, "-sf", "phone.xml", "-i", "127.0.0.1", "-p", str(port), "-t", option, "-m", "1"]
    command += ["-nostdin", "-timeout", "20s", "-timeout_error"]
    me = f"sip:4201@127.0.0.1:{port}"
    asked = Notify(me, me, "check-sync;reboot=true", Target("127.0.0.1", port, transport))
    with subprocess.Popen(  # noqa: ASYNC220
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        found = await _started(lambda: send(asked, TIMINGS, _any))
        assert found.status == 200
        assert process.wait(20) == 0


def _any(_ip: object) -> bool:
    return True


async def _started(work: Callable[[], Any]) -> Any:
    """Again until the other process listens."""
    for _ in range(100):
        try:
            return await work()
        except (NoAnswer, Unreachable):
            await asyncio.sleep(0.05)
    raise AssertionError("it does not listen")
