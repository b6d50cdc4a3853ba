"""The command line, as somebody types it."""

import gc
import json
import os
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from provisioning.app import settle
from provisioning.parts import VENDORS
from provisioning.phones.vendor import load_vendors
from provisioning.samples import account_file
from tests.certificates import self_signed
from tests.shell import COMMAND, Done, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def server(shell: Shell) -> Iterator[Shell]:
    with shell.serving():
        yield shell


def test_account_add_prints_what_the_contract_names(shell: Shell) -> None:
    done = shell.run(
        "account", "add", "--name", "Acme", "--email", "ann@acme.example", "--password", "the-pw-of-ann"
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == ["account_id", "email", "password", "api_key"]
    assert (printed["email"], printed["password"]) == ("ann@acme.example", "the-pw-of-ann")
    assert printed["api_key"].startswith("ppk_")


def test_an_account_with_a_bad_zone_is_refused_by_field(shell: Shell) -> None:
    done = shell.run("account", "add", "--name", "A", "--email", "a@b.example", "--timezone", "Mars/Olympus")
    assert done.returncode == 1
    assert done.stderr == "error: timezone: must be an IANA time zone, such as America/New_York\n"


def test_a_second_account_with_the_same_admin_is_refused(shell: Shell) -> None:
    shell.run("account", "add", "--name", "A", "--email", "a@b.example")
    done = shell.run("account", "add", "--name", "B", "--email", "A@b.example")
    assert (done.returncode, done.stderr) == (1, "error: a user with this email exists\n")


def test_load_prints_the_provisioning_url_too(shell: Shell, sample: str) -> None:
    (shell.folder / "company.toml").write_text(sample)
    done = shell.run("load", "company.toml")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == ["account_id", "email", "password", "api_key", "provisioning_url"]


def test_load_names_each_fault_on_a_line_and_exits_1(shell: Shell, sample: str) -> None:
    (shell.folder / "company.toml").write_text(sample.replace('"80:5e', '"8:5e').replace("T46S", "T46Z"))
    done = shell.run("load", "company.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"error: line \d+: devices\[0\]\.mac: must be a MAC address of 12 hex digits\n", done.stderr
    )


def test_load_of_a_file_that_is_not_there_says_so(shell: Shell) -> None:
    done = shell.run("load", "none.toml")
    assert (done.returncode, done.stderr) == (1, "error: none.toml: No such file or directory\n")


def test_a_reader_of_our_output_may_stop_reading(shell: Shell) -> None:
    command = [str(COMMAND), "verify-activity"]
    read, write = os.pipe()
    os.close(read)
    try:
        environ = shell.environment()
        done = subprocess.run(command, cwd=shell.folder, env=environ, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_phone_that_is_told_the_next_url_comes_up_where_that_is_expected(server: Shell) -> None:
    loaded = load_sample(server)
    request = urllib.request.Request(
        f"{server.url}/api/v1/account/provisioning/stage",
        method="POST",
        headers={"Authorization": f"Bearer {loaded['api_key']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        following = json.load(answer)["staged"]["provisioning_url"]
    phone = ("boot", loaded["provisioning_url"], "--mac", "805ec0102001", "--model", "T54W")
    astray = server.run(*phone)
    assert astray.returncode == 1
    assert "problem: the address that the phone was told is not the one that it booted from" in astray.stdout
    assert server.run(*phone, "--next-url", following).returncode == 0


def test_migrate_may_be_run_again(shell: Shell) -> None:
    assert [shell.run("migrate").returncode for _ in range(2)] == [0, 0]
    assert (shell.folder / "var" / "provisioning.db").stat().st_size > 0


def test_the_demo_is_idempotent_and_its_curl_lines_show_real_files(server: Shell) -> None:
    first, again = (server.run("demo") for _ in range(2))
    assert again.returncode == 0, again.stderr
    shown = [re.findall(r"^  curl (\S+)$", done.stdout, re.M) for done in (first, again)]
    assert shown[0] == shown[1]
    yealink, polycom = (server.fetch(url) for url in shown[1])
    assert yealink[0] == polycom[0] == 200
    assert yealink[1].startswith(b"#!version:1.0.0.1\n")
    assert polycom[1].startswith(b"<?xml ")


def test_the_demo_prints_a_boot_that_comes_up(server: Shell) -> None:
    line = re.search(r"^  (\S+/provisioning boot .+)$", server.run("demo").stdout, re.M)
    assert line
    done = server.run(*line[1].split()[1:])
    assert done.returncode == 0
    assert "GET  200" in done.stdout and done.stdout.endswith("The phone came up.\n")
    assert "739204816355" not in done.stdout and "Kq7vTz2mWx94LpRd" not in done.stdout


def test_after_rotate_the_old_url_boots_nothing_and_the_new_one_does(server: Shell) -> None:
    old = load_sample(server)["provisioning_url"]
    done = server.run("rotate", "--email", "office@harbourlane.example")
    printed = json.loads(done.stdout)
    assert printed["generation"] == 2
    with closing(sqlite3.connect(server.folder / "var" / "provisioning.db")) as database:
        entered = database.execute("SELECT actor, outcome FROM activity WHERE event = 'token.rotate'")
        assert entered.fetchall() == [("system", "success")]
    phone = ("--mac", "64:16:7f:10:20:05", "--model", "VVX 450")
    refused = server.run("boot", old, *phone)
    assert refused.returncode == 1
    assert refused.stdout.endswith("The phone did NOT come up.\n")
    assert server.run("boot", printed["provisioning_url"], *phone).returncode == 0


def test_rotating_an_account_that_is_not_there_is_refused(shell: Shell) -> None:
    done = shell.run("rotate", "--email", "nobody@example.com")
    assert (done.returncode, done.stderr) == (1, "error: --email: there is no account with this email\n")


def test_devices_come_in_from_a_csv_file_and_their_number_is_shown(shell: Shell) -> None:
    _load_sample(shell)
    rows = "".join(f"249ad8{number:06x},T46S,4205\n" for number in range(250))
    (shell.folder / "devices.csv").write_text("mac,model,lines\n" + rows)
    done = shell.run("import-devices", "devices.csv", "--email", "office@harbourlane.example")
    assert (done.returncode, done.stdout) == (0, "250 devices made, 0 updated\n")
    assert done.stderr.split("\n") == ["", "100 of 250", "200 of 250", "250 of 250", ""]
    (shell.folder / "devices.csv").write_text("mac,model,lines\n" + rows.replace("T46S", "T99", 1))
    refused = shell.run("import-devices", "devices.csv", "--email", "office@harbourlane.example")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: line 2: model: is not among the models of Yealink")


def test_the_api_section_of_readme_takes_a_reader_to_a_phone_that_boots(server: Shell) -> None:
    (script,) = re.findall(r"^```bash\n(.*?)^```$", Path("README.md").read_text("utf-8"), re.M | re.S)
    environ = server.environment() | {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=server.folder,
        env=environ,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "The phone came up.\n" in done.stdout
    events = [entry["event"] for entry in json.loads(done.stdout.splitlines()[-1])["data"]]
    assert events == ["token.generate", "device.create"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--mac", "80:5e:c0:aa:bb:c"), "error: mac: must be a MAC address of 12 hex digits\n"),
        (("--mac", "02:00:00:00:00:01"), "error: --vendor: cannot be told from this MAC address: name it\n"),
        (
            ("--mac", "80:5e:c0:aa:bb:cc", "--vendor", "cisco"),
            "error: --vendor: must be one of polycom, yealink\n",
        ),
    ],
)
def test_a_boot_that_names_no_phone_is_refused(shell: Shell, arguments: tuple[str, ...], error: str) -> None:
    done = shell.run("boot", "http://127.0.0.1:9/p/x/", *arguments)
    assert (done.returncode, done.stderr) == (1, error)


def test_a_server_that_is_not_there_is_a_phone_that_does_not_come_up(shell: Shell) -> None:
    done = shell.run("boot", f"{shell.url}/p/x/", "--mac", "80:5e:c0:aa:bb:cc")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_samples_of_the_repository_are_what_phones_receive(shell: Shell) -> None:
    shutil.copytree("sample_configs", shell.folder / "sample_configs")
    done = shell.run("samples", "--check")
    assert (done.returncode, done.stdout) == (0, "sample_configs is what the phones receive\n")


def test_samples_that_differ_are_named(shell: Shell) -> None:
    assert shell.run("samples").returncode == 0
    folder = shell.folder / "sample_configs"
    (folder / "805ec0102001" / "805ec0102001.cfg").write_text("changed")
    (folder / "805ec0102001" / "805ec0102001.boot").unlink()
    (folder / "805ec0102001" / "more.cfg").touch()
    done = shell.run("samples", "--check")
    assert (done.returncode, done.stdout) == (
        1,
        "sample_configs/805ec0102001/805ec0102001.cfg differs\n"
        "sample_configs/805ec0102001/805ec0102001.boot is missing\n"
        "sample_configs/805ec0102001/more.cfg belongs to no phone\n",
    )


def test_a_bad_setting_is_refused_by_name(shell: Shell) -> None:
    shell.environ["PROVISIONING_OPTION_SIP_PORT"] = "70000"
    done = shell.run("serve")
    assert done.returncode == 1
    assert done.stderr.startswith("error: platform.sip_port: ")


def test_serve_ends_at_once_when_it_is_told_to(shell: Shell) -> None:
    with shell.serving() as process:
        process.terminate()
        assert process.wait(timeout=5) == 0


async def test_what_is_there_when_serving_begins_is_left_out_by_the_collector() -> None:
    app, thresholds = web.Application(), gc.get_threshold()
    app[VENDORS] = load_vendors()
    try:
        await settle(app)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_nothing_secret_is_printed_by_a_server_that_logs_all_it_can(shell: Shell, sample: str) -> None:
    shell.environ["PROVISIONING_LOG_LEVEL"] = "debug"
    with shell.serving():
        loaded = load_sample(shell)
        for name in (
            "805ec0102001.cfg",
            "64167f102005-account.cfg",
            "nothing.cfg",
            "%00",
            "64167f102005-app.log",
        ):
            shell.fetch(loaded["provisioning_url"] + name)
    output = (shell.folder / "server.log").read_text()
    token = loaded["provisioning_url"].split("/")[-2]
    for secret in (
        token,
        token[3:],
        "739204816355",
        "Kq7vTz2mWx94LpRd",
        loaded["api_key"],
        loaded["password"],
    ):
        assert secret not in output


def test_https_is_served_with_the_certificate_of_the_environment(shell: Shell) -> None:
    cert, key = self_signed(shell.folder)
    shell.scheme = "https"
    shell.environ |= {"PROVISIONING_TLS_CERT": str(cert), "PROVISIONING_TLS_KEY": str(key)}
    with shell.serving():
        url = load_sample(shell)["provisioning_url"]
        assert url.startswith("https://")
        assert shell.fetch(f"{url}805ec0102001.cfg")[0] == 200


def load_sample(shell: Shell) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(_load_sample(shell).stdout)
    return loaded


def _load_sample(shell: Shell) -> Done:
    return shell.run("load", str(account_file()))


@pytest.mark.parametrize(
    ("environ", "arguments", "error"),
    [
        ({"PROVISIONING_DATABASE_URL": "sqlite:///."}, ("migrate",), "error: "),
        (
            {"PROVISIONING_DATABASE_URL": "sqlite:///:memory:"},
            ("migrate",),
            "error: PROVISIONING_DATABASE_URL: ",
        ),
        ({"PROVISIONING_DATABASE_URL": "postgresql://127.0.0.1:9/x"}, ("migrate",), "error: "),
        (
            {"PROVISIONING_TEMPLATES": "nowhere"},
            ("migrate",),
            "error: PROVISIONING_TEMPLATES: ",
        ),
        (
            {"PROVISIONING_PLATFORM_FILE": "none"},
            ("migrate",),
            "error: PROVISIONING_PLATFORM",
        ),
        ({"PROVISIONING_TLS_CERT": "a", "PROVISIONING_TLS_KEY": "b"}, ("serve",), "error: "),
        ({"PROVISIONING_BASE_URL": "http://:80"}, ("migrate",), "error: PROVISIONING_BASE_URL: "),
        ({"PROVISIONING_LOG_LEVEL": "error"}, ("serve", "--host", "203.0.113.1"), "error: "),
    ],
)
def test_what_cannot_work_is_one_line_and_no_traceback(
    shell: Shell, environ: dict[str, str], arguments: tuple[str, ...], error: str
) -> None:
    shell.environ |= environ
    done = shell.run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_number_in_the_environment_may_be_a_text_option(shell: Shell) -> None:
    shell.environ |= {"PROVISIONING_OPTION_VOICEMAIL_NUMBER": "5000", "PROVISIONING_OPTION_PARK_CODE": ""}
    assert _load_sample(shell).returncode == 0


def test_rotate_makes_the_first_token_of_an_account_that_has_none(shell: Shell) -> None:
    shell.run("account", "add", "--name", "A", "--email", "a@b.example")
    done = shell.run("rotate", "--email", "a@b.example")
    assert json.loads(done.stdout)["generation"] == 1
