"""The example of docs/switch with a real Kamailio: phones register with us, and 911 goes out."""

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from provisioning.api.operation import OPERATIONS
from provisioning.samples import account_file
from tests.ports import free_port
from tests.shell import Process, Shell
from tests.switch.sip import Endpoint, Message, Phone

KAMAILIO: Final = shutil.which("kamailio") or "/usr/sbin/kamailio"
CONFIG: Final = Path(__file__).parents[2] / "docs/switch/kamailio.cfg"
REALM: Final = "sip.harbourlane.example"
FRONT_DESK: Final = ("4201", "Kq7vTz2mWx94LpRd")  # of the sample account
ANN: Final = ("4202", 'bH3&yN<8>"s$%#k~1')

pytestmark = pytest.mark.skipif(
    not Path(KAMAILIO).exists(),
    reason="Kamailio is not installed: `make kamailio` does so on Debian",
)


@dataclass
class Switch:
    """A provisioning server and a Kamailio that asks it, with a carrier behind."""

    shell: Shell
    port: int
    carrier: Endpoint
    admin_key: str
    server: Process
    stack: ExitStack

    @property
    def log(self) -> str:
        return (self.shell.folder / "kamailio.log").read_text()

    def phone(self, name: str, password: str) -> Phone:
        return self.stack.enter_context(closing(Phone(self.port, REALM, name, password)))

    def api(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.admin_key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.shell.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def wait(self, done: Callable[[], object]) -> None:
        """Until `done()`; nobody tells us when another process has finished its work."""
        for _ in range(200):
            if done():
                return
            time.sleep(0.05)
        raise AssertionError(self.log)


@contextmanager
def running(shell: Shell, carrier: Endpoint, key: str, config: str) -> Iterator[int]:
    """A Kamailio with this configuration; the port on which phones reach it."""
    port = free_port()
    (shell.folder / "kamailio.cfg").write_text(config)
    command = [
        KAMAILIO,
        "-f",
        "kamailio.cfg",
        "-DD",
        "-E",
        "-T",
        "-m",
        "64",
        "-n",
        "2",
        "-l",
        f"udp:127.0.0.1:{port}",
    ]
    command += [
        "-Y",
        str(shell.folder),
        "-A",
        f'REALM="{REALM}"',
        "-A",
        f'GATEWAY="127.0.0.1:{carrier.port}"',
    ]
    environment = {"PROVISIONING_API": f"{shell.url}/api/v1", "PROVISIONING_API_KEY": key}
    with (
        (shell.folder / "kamailio.log").open("w") as log,
        subprocess.Popen(command, cwd=shell.folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield port
        finally:
            process.terminate()


@contextmanager
def switched(
    folder: Path,
    *,
    serving: bool = True,
    config: str | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Switch]:
    shell = Shell(folder, environ=dict(environ))
    (folder / "company.toml").write_text(account_file().read_text("utf-8"))
    admin_key = json.loads(shell.run("load", "company.toml").stdout)["api_key"]
    with ExitStack() as stack:
        server = stack.enter_context(shell.serving())
        carrier = stack.enter_context(closing(Endpoint()))
        switch = Switch(shell, 0, carrier, admin_key, server, stack)
        key = switch.api("/api-keys", {"name": "kamailio", "role": "switch"})["key"]
        if not serving:
            server.terminate()
            server.wait()
        switch.port = stack.enter_context(running(shell, carrier, key, config or CONFIG.read_text()))
        yield switch
    assert key not in switch.log


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    with switched(tmp_path_factory.mktemp("switch")) as switch:
        yield switch


@pytest.fixture
def front_desk(switch: Switch) -> Phone:
    phone = switch.phone(*FRONT_DESK)
    assert phone.register().status == 200
    return phone


def test_a_phone_registers_with_the_password_of_its_extension(switch: Switch) -> None:
    answer = switch.phone(*ANN).register()
    assert answer.status == 200
    assert answer["Contact"].startswith("<sip:4202@127.0.0.1:")
    events = [entry["event"] for entry in switch.api("/activity?event=switch.directory")["data"]]
    assert events


@pytest.mark.parametrize(
    ("name", "password"),
    [(FRONT_DESK[0], "wrong"), (FRONT_DESK[0], ANN[1]), ("9999", "any"), ("a%2Fb", "any"), ("..", "any")],
)
def test_a_phone_that_does_not_know_its_password_is_refused(switch: Switch, name: str, password: str) -> None:
    assert switch.phone(name, password).register().status == 401


def test_a_new_extension_registers_at_once(switch: Switch) -> None:
    phone = switch.phone("ann+desk~1", "her password")
    assert phone.register().status == 401
    form = {
        "number": "4288",
        "display_name": "Ann",
        "sip_username": phone.name,
        "sip_password": phone.password,
    }
    switch.api("/extensions", form)
    assert phone.register().status == 200


def test_one_extension_calls_another(switch: Switch, front_desk: Phone) -> None:
    ann = switch.phone(*ANN)
    ann.register()
    with answering(front_desk, "486 Busy Here") as called:
        assert ann.invite("4201").status == 486
    assert called[0].first == f"INVITE sip:4201@127.0.0.1:{front_desk.port} SIP/2.0"


def test_nobody_calls_without_a_password_or_under_another_name(switch: Switch, front_desk: Phone) -> None:
    assert switch.phone("4201", "wrong").invite("4202").status == 407
    ann = switch.phone(*ANN)
    ann.from_name = "4201"
    assert ann.invite("4201").status == 407


def test_a_call_to_the_outside_shows_the_accounts_number_and_no_forged_one(switch: Switch) -> None:
    forged = ("P-Asserted-Identity", "<sip:+12025550199@sip.example>")
    with answering(switch.carrier, "480 No Line") as called:
        assert switch.phone(*ANN).invite("+15555550100", forged).status == 480
    assert called[0].first == f"INVITE sip:+15555550100@127.0.0.1:{switch.carrier.port} SIP/2.0"
    assert called[0].all("P-Asserted-Identity") == ["<sip:+12125550100@sip.harbourlane.example>"]


@pytest.mark.parametrize("number", ["911", "933"])
def test_an_emergency_call_goes_out_unasked_and_is_reported(
    switch: Switch, front_desk: Phone, number: str
) -> None:
    front_desk.password = "no longer known"
    with answering(switch.carrier, "486 Busy Here") as called:
        assert front_desk.invite(number).status == 486
    assert called[0].first == f"INVITE sip:{number}@127.0.0.1:{switch.carrier.port} SIP/2.0"
    switch.wait(lambda: reported(switch, called[0]["Call-ID"]))


def test_a_stranger_makes_no_emergency_call(switch: Switch) -> None:
    assert switch.phone("4203", "wrong").invite("911").status == 407


def test_while_the_provisioning_server_is_down_emergency_calls_go_out_and_are_reported_later(
    tmp_path: Path,
) -> None:
    with switched(tmp_path, serving=False) as switch:
        phone = switch.phone(*FRONT_DESK)
        assert phone.register().status == 503
        with answering(switch.carrier, "486 Busy Here") as called:
            assert phone.invite("911").status == 486
        switch.wait(lambda: "is reported again" in switch.log)
        with switch.shell.serving():
            switch.wait(lambda: reported(switch, called[0]["Call-ID"]))


def test_a_phone_that_is_known_still_registers_while_the_provisioning_server_is_down(tmp_path: Path) -> None:
    config = CONFIG.read_text()
    assert "autoexpire=60" in config
    with switched(tmp_path, config=config.replace("autoexpire=60", "autoexpire=1")) as switch:
        phone = switch.phone(*FRONT_DESK)
        assert phone.register().status == 200
        switch.server.terminate()
        switch.server.wait()

        def asked_in_vain() -> bool:
            assert phone.register().status == 200
            return "the provisioning server answers" in switch.log

        switch.wait(asked_in_vain)
        assert switch.phone(FRONT_DESK[0], "wrong").register().status == 401


@contextmanager
def answering(endpoint: Endpoint, status: str) -> Iterator[list[Message]]:
    """Answers the next call of this endpoint, which is in the list at the end."""
    called: list[Message] = []

    def answer() -> None:
        called.append(endpoint.receive("^INVITE "))
        endpoint.answer(called[0], status)

    thread = threading.Thread(target=answer)
    thread.start()
    yield called
    thread.join()


def reported(switch: Switch, call_id: str) -> bool:
    """Whether the report of this call has arrived."""
    if any(operation.path == "/switch/emergency-calls" for operation in OPERATIONS):
        calls = switch.api("/emergency-calls")["data"]
        return [call["sip_username"] for call in calls if call["call_id"] == call_id] == [FRONT_DESK[0]]
    # The operation is not there yet: what can be seen is that it was asked for.
    return "is reported again: 404" in switch.log
