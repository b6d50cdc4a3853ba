"""API keys: how programs and the switch authenticate."""

from datetime import datetime

from pydantic import Field

from provisioning import api_keys
from provisioning.api.operation import ADMIN, Answer, Call, Paging, operation, page_of
from provisioning.api_keys import ApiKeyForm


class ApiKeyAnswer(Answer):
    volatile = frozenset({"last_used_at"})

    id: str
    name: str
    role: str
    created_at: datetime
    last_used_at: datetime | None


class NewApiKeyAnswer(ApiKeyAnswer):
    """The key itself is shown this once."""

    key: str = Field(repr=False)


ApiKeyPage = page_of(ApiKeyAnswer)


@operation(
    "GET", "/api-keys", "api_key.list", roles=ADMIN, answer=ApiKeyPage, query=Paging, resource="api_key"
)
async def list_(call: Call, query: Paging) -> Answer:
    """The API keys, newest first; the keys themselves are not kept."""
    found, following = await api_keys.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return ApiKeyPage(data=[ApiKeyAnswer.model_validate(key) for key in found], next_cursor=following)


@operation(
    "POST",
    "/api-keys",
    "api_key.create",
    roles=ADMIN,
    answer=NewApiKeyAnswer,
    body=ApiKeyForm,
    resource="api_key",
    status=201,
)
async def create(call: Call, body: ApiKeyForm) -> NewApiKeyAnswer:
    """A new API key, shown in this answer and never again."""
    made, text = await api_keys.create(call.session, call.vault, call.account_id, body)
    shown = call.created(ApiKeyAnswer.model_validate(made))
    return NewApiKeyAnswer(**shown.model_dump(), key=text)


@operation("DELETE", "/api-keys/{id}", "api_key.delete", roles=ADMIN, resource="api_key/{id}")
async def delete(call: Call) -> None:
    """Remove an API key: it is refused from now on."""
    call.deletes(ApiKeyAnswer.model_validate(await api_keys.get(call.session, call.account_id, call.id)))
    await api_keys.delete(call.session, call.account_id, call.id)
