"""The cross-origin guard and the session cookie: only our own pages write with it."""

from http.cookies import SimpleCookie

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from provisioning.http import delete_session, session_value, set_session
from provisioning.origin import allows

HTTPS, HTTP = "https://phones.example.com", "http://192.0.2.1:8080"


def allowed(base_url: str = HTTPS, method: str = "POST", **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return allows(method, CIMultiDict(named), base_url)


def test_it_works() -> None:
    assert allowed(sec_fetch_site="same-origin")
    assert not allowed(sec_fetch_site="cross-site")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_may_come_from_anywhere(method: str) -> None:
    assert allowed(method=method, sec_fetch_site="cross-site", origin="https://evil.example")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get"])
def test_what_is_no_read_must_come_from_our_pages(method: str) -> None:
    assert not allowed(method=method, sec_fetch_site="cross-site")
    assert not allowed(method=method)


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none", "", "Same-Origin"])
def test_the_browsers_own_word_comes_first(site: str) -> None:
    assert not allowed(sec_fetch_site=site, origin=HTTPS, referer=f"{HTTPS}/users")


@pytest.mark.parametrize(
    "origin", [HTTPS, f"{HTTPS}:443", "HTTPS://Phones.Example.com"], ids=["plain", "port", "case"]
)
def test_a_browser_that_does_not_say_is_believed_by_the_origin(origin: str) -> None:
    assert allowed(origin=origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "https://phones.example.com.evil.example",
        "https://evil.example/https://phones.example.com",
        "https://phones.example.com@evil.example",
        "https://sibling.phones.example.com",
        "https://phones.example.com:8443",
        "https://phones.example.com:port",
        "http://phones.example.com",
        "https://[",
        "file:///",
    ],
)
def test_another_origin_is_refused_even_with_a_good_referer(origin: str) -> None:
    assert not allowed(origin=origin, referer=f"{HTTPS}/users", host="phones.example.com")


def test_without_an_origin_the_referer_tells() -> None:
    assert allowed(referer=f"{HTTPS}/users?tab=x")
    assert not allowed(referer="https://evil.example/?phones.example.com")


def test_who_says_nothing_is_refused() -> None:
    assert not allowed()
    assert not allowed(host="phones.example.com")


def test_the_host_that_was_asked_is_ours_by_whatever_name() -> None:
    assert allowed(HTTP, origin="http://phones.lan:8080", host="phones.lan:8080")
    assert allowed(HTTP, origin="http://[2001:db8::1]:8080", host="[2001:db8::1]:8080")
    assert not allowed(HTTP, origin="http://phones.lan:9090", host="phones.lan:8080")


def test_another_port_of_our_host_is_another_origin() -> None:
    assert allowed(HTTP, origin=HTTP)
    assert not allowed(HTTP, origin="http://192.0.2.1:9090")
    assert not allowed(HTTP, origin="http://192.0.2.1")


def cookie_of(response: web.Response) -> str:
    return response.cookies.output(header="").strip()


def test_under_https_the_cookie_belongs_to_this_host_alone() -> None:
    response = web.Response()
    set_session(response, HTTPS, "value")
    name, *attributes = cookie_of(response).split("; ")
    assert name == "__Host-session=value"
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


def test_on_plain_http_the_cookie_is_one_that_browsers_take_there() -> None:
    response = web.Response()
    set_session(response, HTTP, "value")
    name, *attributes = cookie_of(response).split("; ")
    assert name == "session=value"
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax"]


@pytest.mark.parametrize("base_url", [HTTPS, HTTP])
def test_the_cookie_is_deleted_with_the_attributes_it_was_set_with(base_url: str) -> None:
    kept, deleted = web.Response(), web.Response()
    set_session(kept, base_url, "value")
    delete_session(deleted, base_url)
    (name, set_cookie), (other, deleting) = *kept.cookies.items(), *deleted.cookies.items()
    assert name == other
    for attribute in ("path", "domain", "secure", "httponly", "samesite"):
        assert set_cookie[attribute] == deleting[attribute]
    assert (deleting.value, deleting["max-age"]) == ("", 0) or deleting["max-age"] == "0"


@pytest.mark.parametrize("base_url", [HTTPS, HTTP])
def test_the_browser_gives_back_what_it_was_given(base_url: str) -> None:
    response = web.Response()
    set_session(response, base_url, "value")
    sent = SimpleCookie({name: morsel.value for name, morsel in response.cookies.items()})
    request = make_mocked_request("GET", "/", headers={"Cookie": sent.output(header="", attrs=[]).strip()})
    assert session_value(request, base_url) == "value"


def test_under_https_a_cookie_that_others_could_have_set_is_not_looked_at() -> None:
    request = make_mocked_request("GET", "/", headers={"Cookie": "session=value"})
    assert session_value(request, HTTPS) is None
