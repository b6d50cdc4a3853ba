"""Phone models: what there is to choose from, and what each can hold."""

from button_templates.layout import TYPES
from provisioning.api.operation import READER, Answer, Call, operation


class ExpansionAnswer(Answer):
    name: str
    keys: int
    modules: int


class ModelAnswer(Answer):
    """`button_types` are those that the model has a key for; `pages` is null where it is not known."""

    vendor: str
    model: str
    family: str
    lines: int
    line_keys: int
    pages: int | None
    expansion_modules: list[ExpansionAnswer]
    button_types: list[str]


class ModelsAnswer(Answer):
    data: list[ModelAnswer]


@operation(
    "GET", "/phone-models", "phone_model.list", roles=READER, answer=ModelsAnswer, resource="phone_model"
)
async def list_(call: Call) -> ModelsAnswer:
    """All phone models, by vendor and name."""
    return ModelsAnswer(
        data=[
            ModelAnswer(
                vendor=vendor.name,
                model=model.name,
                family=model.family,
                lines=model.lines,
                line_keys=model.line_keys,
                pages=model.facts.get("pages"),
                expansion_modules=[
                    ExpansionAnswer(name=e.name, keys=e.keys, modules=e.modules) for e in model.expansions
                ],
                button_types=[type for type in TYPES if type not in vendor.face(model).refused],
            )
            for vendor in call.rendering.vendors.values()
            for model in vendor.models.values()
        ]
    )
