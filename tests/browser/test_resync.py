"""Resync on the pages: a phone is asked, its answer comes by itself; a run of many moves by itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Account, Inside, log_in, watched
from tests.browser.test_devices import device, fetched, opened
from tests.shell import Shell
from tests.sip_peer import Peer, Request


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A server that may ask phones on this machine."""
    shell = Shell(tmp_path_factory.mktemp("resync-site"))
    shell.environ["PROVISIONING_RESYNC_NETWORKS"] = "127.0.0.0/8"
    with shell.serving():
        yield shell


@pytest.fixture(scope="session")
def inside(site: Shell) -> Iterator[Inside]:
    inside = Inside(site)
    yield inside
    inside.close()


@contextmanager
def switch(account: Account, answers: Any = None) -> Iterator[Peer]:
    """The SIP server of the account's phones; by default it takes everything."""
    peer = Peer(answers or (lambda asked: [asked.answered("200 OK")]))
    served = peer.udp()
    account.inside.run(served.__aenter__())
    options = {"sip_server": "127.0.0.1", "sip_port": peer.port, "sip_domain": "sip.example.com"}
    account.api("PATCH", "/account/device-options", options)
    yield peer
    account.inside.run(served.__aexit__(None, None, None))


class TestOnePhone:
    def test_its_answer_comes_by_itself_and_stays(self, page: Page, account: Account) -> None:
        with switch(account) as peer:
            opened(page, account)
            page.get_by_role("button", name="Resync", exact=True).click()
            expect(page.locator("#resync-said")).to_have_text("Asked just now: answered 200 OK.")
            assert [sent["Event"] for sent in peer.requests] == ["check-sync;reboot=false"]
        page.reload()
        expect(page.locator("#resync-said")).to_contain_text("Asked last on")
        expect(page.locator("#resync-said")).to_contain_text(": answered 200 OK.")

    def test_it_restarts_only_when_one_is_sure(self, page: Page, account: Account) -> None:
        with switch(account) as peer:
            opened(page, account)
            page.get_by_role("button", name="Resync and restart").click()
            page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            page.get_by_role("button", name="Resync and restart").click()
            page.get_by_role("dialog").get_by_role("button", name="Restart").click()
            expect(page.locator("#resync-said")).to_have_text("Asked just now: answered 200 OK.")
            assert [sent["Event"] for sent in peer.requests] == ["check-sync;reboot=true"]

    def test_a_restart_is_offered_where_the_vendor_knows_it(self, page: Page, account: Account) -> None:
        opened(page, account, "64167f102005")
        expect(page.get_by_role("button", name="Resync", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Resync and restart")).to_have_count(0)

    def test_a_refusal_is_shown_as_it_is(self, page: Page, account: Account) -> None:
        with switch(account, lambda asked: [asked.answered("480 Not Registered")]):
            opened(page, account)
            page.get_by_role("button", name="Resync", exact=True).click()
            expect(page.locator("#resync-said")).to_have_text("Asked just now: refused: 480 Not Registered.")

    def test_the_way_can_be_chosen_once_its_address_is_known(self, page: Page, account: Account) -> None:
        opened(page, account)
        expect(page.get_by_label("How")).to_have_count(0)
        fetched(account)
        page.reload()
        page.get_by_label("How").select_option(label="At its last address, 127.0.0.1")
        page.get_by_role("button", name="Resync", exact=True).click()
        expect(page.locator("#resync-said")).to_have_text(
            "Asked just now: no answer: nothing takes SIP there."
        )

    def test_a_phone_that_cannot_be_asked_is_told_why(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        account.api("PATCH", f"/devices/{device(account)['id']}", {"lines": []})
        opened(page, account)
        page.get_by_role("button", name="Resync", exact=True).click()
        expect(page.locator("#resync-said")).to_contain_text("Not asked: the phone has never fetched")
        assert all("409" in line for line in console)
        console.clear()

    def test_a_viewer_only_sees_what_came_of_it(
        self, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        account.add_user(f"viewer-{account.email}", "viewer")
        page = watched(context, console)
        log_in(page, f"viewer-{account.email}", f"/devices/{device(account)['id']}")
        expect(page.get_by_role("heading", name="Resync")).to_be_visible()
        expect(page.locator("[data-resync]")).to_have_count(0)
        page.goto("/devices")
        expect(page.get_by_role("button", name="Resync these")).to_have_count(0)
        assert console == []


class TestManyPhones:
    def test_the_phones_that_are_shown_are_asked_and_their_answers_come_in(
        self, page: Page, account: Account
    ) -> None:
        held: list[Request] = []

        def answers(asked: Request) -> list[bytes]:
            """Nothing at first: each is sent again after half a second, and then answered."""
            again = any(asked["Via"] == known["Via"] for known in held)
            held.append(asked)
            return [asked.answered("200 OK")] if again else []

        with switch(account, answers):
            page.goto("/devices?vendor=yealink")
            page.get_by_role("button", name="Resync these").click()
            dialog = page.get_by_role("dialog", name="Resync 4 phones found")
            dialog.get_by_label("Spread over").select_option("At once")
            dialog.get_by_role("button", name="Resync", exact=True).click()
            page.wait_for_url(re.compile("/resyncs/rsn_"))
            expect(page.get_by_role("heading", name="Resync of 4 phones")).to_be_visible()
            expect(page.locator("#resync-how-far")).to_have_text("4 of 4 done.")
            row = page.get_by_role("row", name="Front desk, Portland")
            expect(row.get_by_text("answered 200 OK")).to_be_visible()
            expect(page.locator("#resync-live[data-live]")).to_have_count(0)
        assert {sent["Event"] for sent in held} == {"check-sync;reboot=false"}

    def test_a_run_goes_on_when_the_page_is_closed_and_can_be_stopped(
        self, page: Page, account: Account
    ) -> None:
        with switch(account):
            page.goto("/devices")
            page.get_by_role("button", name="Resync these").click()
            page.get_by_label("Spread over").select_option("1 hour")
            page.get_by_role("dialog").get_by_role("button", name="Resync", exact=True).click()
            expect(page.locator("#resync-how-far")).to_contain_text("1 of 8 done.")
            page.goto("/devices")
            page.get_by_role("link", name="A resync is under way").click()
            page.get_by_role("link", name="Waiting 7").click()
            expect(page.locator("tbody tr")).to_have_count(7)
            page.get_by_role("button", name="Stop").click()
            page.get_by_role("dialog").get_by_role("button", name="Stop").click()
            expect(page.locator("#resync-how-far")).to_contain_text("8 of 8 done. Stopped on")
            expect(page.get_by_role("button", name="Stop")).to_have_count(0)
            page.get_by_role("link", name="Stopped 7").click()
            expect(page.get_by_text("not asked: the run was stopped")).to_have_count(7)
            page.goto("/devices")
            expect(page.get_by_role("link", name="A resync is under way")).to_have_count(0)

    def test_only_those_that_do_not_hold_the_newest_files_are_asked(
        self, page: Page, account: Account
    ) -> None:
        with switch(account):
            fetched(account)
            page.goto("/devices")
            page.get_by_role("button", name="Resync these").click()
            page.get_by_label("Which of them").select_option(index=1)
            page.get_by_label("Spread over").select_option("1 hour")
            page.get_by_role("dialog").get_by_role("button", name="Resync", exact=True).click()
            expect(page.get_by_role("heading", name="Resync of 7 phones")).to_be_visible()
            account.api("DELETE", page.url.partition(account.site.url)[2])
