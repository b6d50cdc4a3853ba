"""The addresses of the pages."""

from aiohttp import web

from provisioning.web import assets, button_templates, login, settings


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/", home)
    router.add_get("/login", login.show)
    router.add_post("/login", login.submit)
    router.add_post("/logout", login.log_out)
    router.add_get("/settings", settings.show)
    router.add_get("/button-templates", button_templates.show_all)
    router.add_get("/button-templates/{id}", button_templates.show)
    router.add_get("/static/{version}/{name}", assets.serve)


async def home(_request: web.Request) -> web.Response:
    return web.Response(status=303, headers={"Location": "/settings"})
