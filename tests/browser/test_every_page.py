"""What holds for every page: it is accessible, fits narrow screens, is small, and reports no error."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Account, log_in, watched
from tests.shell import Shell

PAGES = [
    "/settings?tab=general",
    "/settings?tab=telephony",
    "/settings?tab=locations",
    "/settings?tab=devices",
    "/settings?tab=activity",
    "/locations",
    "/phone-numbers",
    "/audio-clips",
    "/users",
    "/devices",
    "/devices?q=nobody",
    "/devices/{device}",
    "/rotation",
    "/rotation?state=back",
    "/resyncs/{resync}",
    "/button-templates",
    "/button-templates/{button_template}?model=T54W&compare=VVX+450&compare=T20P",
]


AXE = Axe()
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
def test_it_is_accessible_and_never_wider_than_the_screen(
    browser: Browser, site: Shell, account: Account, console: list[str], scheme: str, width: int
) -> None:
    for _ in range(60):
        account.api("GET", "/account")
    context = browser.new_context(
        base_url=site.url,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 800},
    )
    page = watched(context, console)
    # The rest is the same in the dark.
    rules = (COLOURS if scheme == "dark" else {}) | {"resultTypes": ["violations"]}
    faults = [f"/login: {fault}" for fault in checked(page, "/login", rules)]
    log_in(page, account.email)
    ids = {
        "device": account.api("GET", "/devices?q=T54W")["data"][0]["id"],
        "resync": account.api("POST", "/devices/resync", {"over_seconds": 3600})["id"],
        "button_template": account.api("GET", "/button-templates")["data"][-1]["id"],
    }
    for path in (each.format_map(ids) for each in PAGES):
        faults += [f"{path}: {fault}" for fault in checked(page, path, rules)]
    context.close()
    assert faults == []
    assert console == []


def checked(page: Page, path: str, rules: dict[str, Any]) -> list[str]:
    page.goto(path)
    found = AXE.run(page, options=rules).response["violations"]
    faults = [
        f"{fault['id']}: {fault['nodes'][0]['html']}"
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        faults.append("is wider than the screen")
    if page.viewport_size == {"width": 320, "height": 800}:
        wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
        faults += [f"is to be scrolled: {text[:40]}" for text in page.locator(".table").evaluate_all(wide)]
    return faults


def test_the_first_paint_of_settings_needs_less_than_60_kb(
    browser: Browser, site: Shell, account: Account
) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    log_in(page, account.email)
    context.new_cdp_session(page).send("Network.clearBrowserCache")
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    sizes: list[float] = []
    client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.reload()
    page.wait_for_load_state("networkidle")
    context.close()
    assert len(sizes) > 5
    assert sum(sizes) < 60_000
