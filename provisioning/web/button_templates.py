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
from provisioning.parts import DATABASE, VENDORS
from provisioning.web import faces, key_words
from provisioning.web.page import page, read_all, render

_MOST_COMPARED: Final = 4


@page
async def show_all(request: web.Request, caller: Caller) -> web.Response:
    """The list of an account's templates."""
    found = await read_all(request, caller, button_templates.list_)
    async with request.app[DATABASE].read() as session:
        bound = await devices.counts_by_template(session, caller.account_id)
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
        held = await devices.models_of(session, caller.account_id, template.id)
    kinds = {kind.name: kind for vendor in request.app[VENDORS].values() for kind in faces.kinds(vendor)}
    bound = _names(kinds.values(), held)
    shown, unknown = _chosen(request, kinds, bound)
    fits = {model.model: model for model in fit.data}

    def drawn(name: str) -> faces.Picture:
        kind = kinds[name]
        told = fits[kind.model.name]
        there = kind.expansion.name if kind.expansion else told.expansion
        misfits = next(each.misfits for each in (told, *told.other_modules) if each.expansion == there)
        reasons = {(m.module, m.position): m.reason for m in misfits}
        moved = {(m.module, m.position): m.shown_as for m in told.moved}
        return faces.draw(kind, template.buttons, reasons, moved)

    compared = [name for name in dict.fromkeys(request.query.getall("compare", ())) if name in kinds]
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
        compared=[drawn(name) for name in compared[:_MOST_COMPARED]],
        most_compared=_MOST_COMPARED,
        bound=bound,
        models={
            vendor.title: [kind.name for kind in kinds.values() if kind.vendor is vendor]
            for vendor in request.app[VENDORS].values()
        },
        extensions=await read_all(request, caller, extensions.list_),
        slots=key_words.slots(template.buttons),
        types=key_words.TYPES,
        fields=key_words.FIELDS,
        said=key_words.said,
    )


def _names(kinds: Iterable[faces.Kind], held: list[tuple[str, str | None]]) -> list[str]:
    """Of the phones that hold the template, each kind once."""
    by_parts = {(kind.model.name, kind.expansion and kind.expansion.name): kind.name for kind in kinds}
    names = (by_parts.get((model, expansion), by_parts.get((model, None))) for model, expansion in held)
    return list(dict.fromkeys(name for name in names if name))


def _chosen(
    request: web.Request, kinds: Mapping[str, faces.Kind], bound: list[str]
) -> tuple[str, str | None]:
    """The kind of phone to be shown, and that of the address where there is none of this name."""
    asked = request.query.get("model", "")
    if asked in kinds:
        return asked, None
    largest = max((kind.vendor for kind in kinds.values()), key=lambda vendor: len(vendor.models))
    return next(iter(bound), largest.data["usual_model"]), asked or None


def _copy(template: Any, names: set[str]) -> Mapping[str, Any]:
    """The body of a new template like this one, under a name that is free."""
    name = next(
        name
        for number in range(1, len(names) + 2)
        if (name := f"{template.name[:90]} copy{'' if number == 1 else f' {number}'}") not in names
    )
    return {"name": name, "description": template.description, "buttons": stored(template.buttons)}
