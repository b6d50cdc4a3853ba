"""The addresses of the pages."""

from aiohttp import web

from provisioning.web import (
    assets,
    button_templates,
    device,
    devices,
    lists,
    login,
    resyncs,
    rotation,
    settings,
)
from provisioning.web.page import missing


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/", home)
    router.add_get("/login", login.show)
    router.add_post("/login", login.submit)
    router.add_post("/logout", login.log_out)
    router.add_get("/settings", settings.show)
    router.add_get("/locations", lists.show_locations)
    router.add_get("/locations/{id}", lists.show_location)
    router.add_get("/phone-numbers", lists.show_numbers)
    router.add_get("/phone-numbers/{id}", lists.show_number)
    router.add_get("/audio-clips", lists.show_clips)
    router.add_get("/users", lists.show_users)
    router.add_get("/devices", devices.show)
    router.add_get("/devices/{id}", device.show)
    router.add_get("/rotation", rotation.show)
    router.add_get("/resyncs/{id}", resyncs.show)
    router.add_get("/button-templates", button_templates.show_all)
    router.add_get("/button-templates/{id}", button_templates.show)
    router.add_get("/static/{version}/{name}", assets.serve)


def add_missing(router: web.UrlDispatcher) -> None:
    """The page for every address, or method, that is none; the last of all routes."""
    router.add_route("*", "/{path:.*}", missing)


async def home(_request: web.Request) -> web.Response:
    return web.Response(status=303, headers={"Location": "/settings"})
