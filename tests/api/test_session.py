"""Logging in and out: a cookie for browsers, limits for guessers, and a guard against other sites."""

import pytest
from multidict import CIMultiDictProxy

from provisioning.users import set_password
from tests.api.conftest import Account, Answer
from tests.conftest import StartHouse

EMAIL, PASSWORD = "office@harbourlane.example", "the right password"


@pytest.fixture(autouse=True)
async def _password(account: Account) -> None:
    async with account.house.database.write() as session:
        assert await set_password(session, account.id, EMAIL, PASSWORD)


async def log_in(account: Account, password: str = PASSWORD, email: str = EMAIL) -> Answer:
    return await account.nobody.post("/session", {"email": email, "password": password})


def cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}


def own(account: Account) -> dict[str, str]:
    return {"Origin": account.house.url}


async def test_a_session_reads_and_writes_as_its_user(account: Account) -> None:
    answer = await log_in(account)
    assert (answer.status, answer.json["role"]) == (201, "admin")
    told = answer.headers["Set-Cookie"]
    assert all(part in told for part in ("session=", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Secure" not in told
    assert (await account.nobody.get("/account", cookie(answer))).status == 200
    changed = await account.nobody.patch("/account", {"name": "New"}, cookie(answer) | own(account))
    assert changed.status == 200
    assert (await account.entries())[-1].actor == f"user/{EMAIL}"


async def test_a_wrong_password_and_an_unknown_email_are_one_answer(account: Account) -> None:
    wrong = await log_in(account, "not the password")
    unknown = await log_in(account, email="nobody@example.com")
    assert (wrong.status, wrong.text) == (unknown.status, unknown.text)
    assert wrong.status == 401
    assert "Set-Cookie" not in wrong.headers


async def test_logins_are_entered_where_the_owner_of_the_email_sees_them(account: Account) -> None:
    await log_in(account, "not the password")
    await log_in(account)
    told = [(e.event, e.outcome, e.actor) for e in await account.entries()]
    assert told == [
        ("session.create", "denied", f"user/{EMAIL}"),
        ("session.create", "success", f"user/{EMAIL}"),
    ]


async def test_guessing_is_stopped(account: Account) -> None:
    answers = [await log_in(account, f"guess number {number}") for number in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert (await log_in(account)).status == 429


async def test_after_logging_out_the_cookie_is_good_for_nothing(account: Account) -> None:
    held = cookie(await log_in(account))
    assert (await account.nobody.delete("/session", held | own(account))).status == 204
    assert (await account.nobody.get("/account", held)).status == 401


async def test_a_new_password_ends_the_users_sessions(account: Account) -> None:
    held = cookie(await log_in(account))
    (user,) = (await account.admin.get("/users")).json["data"]
    await account.admin.patch(f"/users/{user['id']}", {"password": "quite another one"})
    assert (await account.nobody.get("/account", held)).status == 401
    assert (await log_in(account)).status == 401
    assert (await log_in(account, "quite another one")).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {},
    ],
)
async def test_a_write_that_another_site_makes_a_browser_send_is_denied(
    account: Account, headers: dict[str, str]
) -> None:
    held = cookie(await log_in(account))
    answer = await account.nobody.patch("/account", {"name": "Stolen"}, held | headers)
    assert answer.status == 403
    last = (await account.entries())[-1]
    assert (last.event, last.outcome, last.actor) == ("account.update", "denied", f"user/{EMAIL}")


async def test_under_https_the_cookie_is_secure_and_of_this_host(
    start_house: StartHouse, account: Account
) -> None:
    house = await start_house(base_url="https://phones.example.com")
    async with house.http.post(
        f"http://127.0.0.1:{house.url.rpartition(':')[2]}/api/v1/session",
        json={"email": EMAIL, "password": PASSWORD},
    ) as answer:
        headers: CIMultiDictProxy[str] = answer.headers
    assert headers["Set-Cookie"].startswith("__Host-session=")
    assert "Secure" in headers["Set-Cookie"]


@pytest.mark.parametrize("body", [{}, {"email": EMAIL}, {"email": EMAIL, "password": 1}, []])
async def test_a_login_of_the_wrong_form_is_refused(account: Account, body: object) -> None:
    assert (await account.nobody.post("/session", body)).status == 422
