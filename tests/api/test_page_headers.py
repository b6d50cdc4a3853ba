"""What every page, and every answer of ours, tells and does not tell by its headers."""

import pytest

from tests.api.conftest import Account

PAGES = ("/login", "/settings", "/settings?tab=devices", "/devices", "/rotation", "/no-such-page")
OTHERS = (
    "/health",
    "/metrics",
    "/api/v1/account",
    "/api/v1/openapi.json",
    "/api/v1/none",
    "/p/x",
    "/static/x",
)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_no_page_runs_what_is_not_ours_is_framed_or_tells_its_address(account: Account) -> None:
    for path in PAGES:
        async with account.house.http.get(account.house.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_no_answer_tells_what_the_server_is_made_of(account: Account) -> None:
    wrong = []
    for path in PAGES + OTHERS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "BREW"):
            url, plain = account.house.url + path, {"Accept-Encoding": "identity"}
            async with account.house.http.request(method, url, headers=plain) as answer:
                told = [name for name in ("Server", "X-Powered-By", "Via") if answer.headers.get(name)]
                if told or "aiohttp" in str(answer.headers).lower() + (await answer.text()).lower():
                    wrong.append((method, path, answer.status, await answer.text()))
    assert wrong == []
