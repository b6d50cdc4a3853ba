"""Button templates: the list, and the editor with a picture of the phone that they are seen on."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiohttp import web

from button_templates import library
from button_templates.layout import stored
from provisioning import devices
from provisioning.api import button_templates, extensions
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.devices import Vendors
from provisioning.parts import DATABASE, VENDORS
from provisioning.web import faces, key_words
from provisioning.web.page import page, read_all, render

_MOST_COMPARED: Final = 4
_USUAL_SLOTS: Final = range(701, 710)


@page
async def show_all(request: web.Request, caller: Caller) -> web.Response:
    """The list of an account's templates."""
    found = await read_all(request, caller, button_templates.list_)
    async with request.app[DATABASE].read() as session:
        bound = await devices.bound(session, caller.account_id)
    names = {template.name for template in found}
    return await render(
        request,
        caller,
        "button_templates.html",
        title="Button Templates",
        templates=found,
        bound=bound,
        copies={template.id: _copy(template, names) for template in found},
        starters=[
            (form.name, form.description, stored(form.buttons)) for form in library.starters().values()
        ],
    )


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    """The editor; to a script that asks for it, the panel with the picture alone."""
    path = {"id": request.match_info["id"]}
    template = await read(request, caller, button_templates.read, path)
    fit = await read(request, caller, button_templates.fit, path)
    async with request.app[DATABASE].read() as session:
        bound = await devices.models_of(session, caller.account_id, template.id)
    vendors = request.app[VENDORS]
    shown, unknown = _chosen(request, vendors, bound)
    reasons = {model.model: {(m.module, m.position): m.reason for m in model.misfits} for model in fit.data}

    def drawn(model: str) -> faces.Picture:
        found = faces.find(vendors, model)
        assert found
        return faces.draw(*found, template.buttons, reasons[model])

    compared = [model for model in dict.fromkeys(request.query.getall("compare", ())) if model in reasons]
    panel = request.headers.get("X-Part") == "panel"
    return await render(
        request,
        caller,
        "button_template_panel.html" if panel else "button_template.html",
        title=template.name,
        layout=template,
        buttons=stored(template.buttons),
        picture=drawn(shown),
        unknown=unknown,
        compared=[drawn(model) for model in compared[:_MOST_COMPARED]],
        most_compared=_MOST_COMPARED,
        bound=bound,
        models={vendor.data["title"]: list(vendor.models) for vendor in vendors.values()},
        extensions=await read_all(request, caller, extensions.list_),
        slots=_slots(template.buttons),
        types=key_words.TYPES,
        fields=key_words.FIELDS,
        said=key_words.said,
    )


def _chosen(request: web.Request, vendors: Vendors, bound: list[str]) -> tuple[str, str | None]:
    """The model to be shown, and that of the address where there is no such model."""
    asked = request.query.get("model")
    known = [model for model in (asked, *bound) if model and faces.find(vendors, model)]
    usual = max(vendors.values(), key=lambda vendor: len(vendor.models)).data["usual_model"]
    shown: str = (known or [usual])[0]
    return shown, asked if asked and asked != shown else None


def _slots(buttons: Iterable[Any]) -> list[str]:
    """The park slots to choose from: the usual ones and those that the template has."""
    used = {button.target["slot"] for button in buttons if button.type == "park"}
    return sorted(used | {str(slot) for slot in _USUAL_SLOTS})


def _copy(template: Any, names: set[str]) -> Mapping[str, Any]:
    """The body of a new template like this one, under a name that is free."""
    name = next(
        name
        for number in range(1, len(names) + 2)
        if (name := f"{template.name[:90]} copy{'' if number == 1 else f' {number}'}") not in names
    )
    return {"name": name, "description": template.description, "buttons": stored(template.buttons)}
