"""Button templates: reusable layouts of programmable keys, and which models can hold them."""

from typing import Any

from pydantic import ConfigDict, Field

from button_templates import layout, library
from button_templates.layout import Button
from button_templates.library import Template, TemplateForm
from provisioning.api.operation import (
    READER,
    TECHNICIAN,
    Answer,
    Call,
    Paging,
    merged,
    operation,
    page_of,
    patch,
)
from provisioning.fields import Input, check
from provisioning.phones.phone import Model
from provisioning.phones.vendor import Vendor


class TemplateAnswer(Answer):
    id: str
    name: str
    description: str
    buttons: list[Button]


class MoveBody(Input):
    model_config = ConfigDict(populate_by_name=True)
    module: int = Field(default=0, ge=0, le=9)
    from_: int = Field(alias="from", ge=1, le=999)
    to: int = Field(ge=1, le=999)


class Misfit(Answer):
    module: int
    position: int
    type: str
    reason: str


class Moved(Answer):
    """A key that the phone, which orders its keys itself, shows as its key `shown_as`."""

    module: int
    position: int
    shown_as: int


class ModulesFit(Answer):
    """`expansion` is the type of the expansion modules, null for a model that takes none."""

    expansion: str | None
    fits: int
    misfits: list[Misfit]


class ModelFit(ModulesFit):
    """With the model's usual modules; `other_modules` are the other types that it takes."""

    vendor: str
    model: str
    moved: list[Moved]
    other_modules: list[ModulesFit]


class FitAnswer(Answer):
    data: list[ModelFit]


TemplatePage = page_of(TemplateAnswer)


def _answer(template: Template) -> TemplateAnswer:
    return TemplateAnswer(
        id=template.id, name=template.name, description=template.description, buttons=list(template.buttons)
    )


def _form(template: Template) -> TemplateForm:
    return TemplateForm(name=template.name, description=template.description, buttons=template.buttons)


@operation(
    "GET",
    "/button-templates",
    "button_template.list",
    roles=READER,
    answer=TemplatePage,
    query=Paging,
    resource="button_template",
)
async def list_(call: Call, query: Paging) -> Answer:
    """The button templates, newest first."""
    found, following = await library.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return TemplatePage(data=[_answer(template) for template in found], next_cursor=following)


@operation(
    "POST",
    "/button-templates",
    "button_template.create",
    roles=TECHNICIAN,
    answer=TemplateAnswer,
    body=TemplateForm,
    resource="button_template",
    status=201,
)
async def create(call: Call, body: TemplateForm) -> TemplateAnswer:
    """A new button template."""
    made = await library.add(call.session, call.account_id, body)
    return call.created(_answer(made))


@operation(
    "GET",
    "/button-templates/{id}",
    "button_template.read",
    roles=READER,
    answer=TemplateAnswer,
    resource="button_template/{id}",
)
async def read(call: Call) -> TemplateAnswer:
    """One button template."""
    return _answer(await library.get(call.session, call.account_id, call.id))


async def _write(call: Call, before: TemplateAnswer, form: TemplateForm) -> TemplateAnswer:
    after = _answer(await library.update(call.session, call.account_id, call.id, form))
    call.changed(before, after)
    return after


@operation(
    "PATCH",
    "/button-templates/{id}",
    "button_template.update",
    roles=TECHNICIAN,
    answer=TemplateAnswer,
    body=patch(TemplateForm),
    resource="button_template/{id}",
)
async def update(call: Call, body: Input) -> TemplateAnswer:
    """Change a button template; each device bound to it gets the change with its next fetch."""
    current = await library.get(call.session, call.account_id, call.id)
    call.expect(_answer(current))
    return await _write(call, _answer(current), check(TemplateForm, merged(_form(current), body)))


@operation(
    "DELETE",
    "/button-templates/{id}",
    "button_template.delete",
    roles=TECHNICIAN,
    resource="button_template/{id}",
)
async def delete(call: Call) -> None:
    """Remove a button template; 409 while a device is bound to it."""
    call.deletes(await read(call))
    await library.delete(call.session, call.account_id, call.id)


@operation(
    "POST",
    "/button-templates/{id}/move",
    "button_template.move",
    roles=TECHNICIAN,
    answer=TemplateAnswer,
    body=MoveBody,
    resource="button_template/{id}",
)
async def move(call: Call, body: MoveBody) -> TemplateAnswer:
    """Move a button; the ones between shift one slot, the set of occupied positions stays."""
    current = await library.get(call.session, call.account_id, call.id)
    call.expect(_answer(current))
    buttons = layout.moved(current.buttons, body.module, body.from_, body.to)
    return await _write(call, _answer(current), _form(current).model_copy(update={"buttons": buttons}))


@operation(
    "GET",
    "/button-templates/{id}/fit",
    "button_template.fit",
    roles=READER,
    answer=FitAnswer,
    resource="button_template/{id}",
)
async def fit(call: Call) -> FitAnswer:
    """For each model: how many of the keys fit, and which do not and why."""
    template = await library.get(call.session, call.account_id, call.id)
    return FitAnswer(
        data=[
            _fit(vendor, model, template)
            for vendor in call.rendering.vendors.values()
            for model in vendor.models.values()
        ]
    )


class _AnyOption(dict[str, Any]):
    """Options as if each were set: a template is not to blame for a phone's options."""

    def get(self, _name: str, _default: Any = None) -> str:
        return "set"


def _fit(vendor: Vendor, model: Model, template: Template) -> ModelFit:
    types = [expansion.name for expansion in model.expansions]
    usual, others = next(iter(types), None), types[1:]
    keys = _keys(vendor, model, usual, template)
    return ModelFit(
        vendor=vendor.name,
        model=model.name,
        moved=[
            Moved(module=key.module, position=key.position, shown_as=number)
            for key, number in vendor.moved(model, keys)
        ],
        other_modules=[ModulesFit(**_told(other, _keys(vendor, model, other, template))) for other in others],
        **_told(usual, keys),
    )


def _keys(vendor: Vendor, model: Model, expansion: str | None, template: Template) -> list[layout.Key]:
    face = vendor.face(model, expansion)
    keys = layout.fit(face, template.buttons, lines=model.lines, options=_AnyOption())
    return [key for key in keys if key.source == "template"]


def _told(expansion: str | None, keys: list[layout.Key]) -> dict[str, Any]:
    misfits = [
        Misfit(module=key.module, position=key.position, type=key.type, reason=key.reason)
        for key in keys
        if key.reason
    ]
    return {"expansion": expansion, "fits": len(keys) - len(misfits), "misfits": misfits}
