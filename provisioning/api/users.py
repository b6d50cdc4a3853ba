"""Users: the people of the account and their roles."""

from datetime import datetime
from typing import Any

from provisioning import users
from provisioning.api.operation import ADMIN, Answer, Call, Paging, operation, page_of
from provisioning.users import User, UserForm, UserPatch


class UserAnswer(Answer):
    id: str
    email: str
    name: str
    role: str
    created_at: datetime


UserPage = page_of(UserAnswer)


def _answer(user: User) -> UserAnswer:
    return UserAnswer.model_validate(user)


async def _hashed(body: UserForm | UserPatch) -> dict[str, Any]:
    """A password is hashed before the transaction begins: it takes tens of milliseconds."""
    password = getattr(body, "password", None) if "password" in body.model_fields_set else None
    return {"password_hash": await users.hash_password(password) if password else None}


@operation("GET", "/users", "user.list", roles=ADMIN, answer=UserPage, query=Paging, resource="user")
async def list_(call: Call, query: Paging) -> Answer:
    """The users, newest first."""
    found, following = await users.page(call.session, call.account_id, limit=query.limit, cursor=query.cursor)
    return UserPage(data=[_answer(user) for user in found], next_cursor=following)


@operation(
    "POST",
    "/users",
    "user.create",
    roles=ADMIN,
    answer=UserAnswer,
    body=UserForm,
    prepare=_hashed,
    resource="user",
    status=201,
)
async def create(call: Call, body: UserForm, password_hash: str) -> UserAnswer:
    """A new user; an email is one person's on the whole server."""
    made = await users.create(call.session, call.account_id, body, password_hash=password_hash)
    return call.created(_answer(made))


@operation("GET", "/users/{id}", "user.read", roles=ADMIN, answer=UserAnswer, resource="user/{id}")
async def read(call: Call) -> UserAnswer:
    """One user."""
    return _answer(await users.get(call.session, call.account_id, call.id))


@operation(
    "PATCH",
    "/users/{id}",
    "user.update",
    roles=ADMIN,
    answer=UserAnswer,
    body=UserPatch,
    prepare=_hashed,
    resource="user/{id}",
)
async def update(call: Call, body: UserPatch, password_hash: str | None) -> UserAnswer:
    """Change a user; a new password or role ends all of the user's sessions."""
    before = await read(call)
    call.expect(before)
    after = _answer(
        await users.update(call.session, call.account_id, call.id, body, password_hash=password_hash)
    )
    call.changed(before, after)
    if password_hash:
        call.secret("password")
    return after


@operation("DELETE", "/users/{id}", "user.delete", roles=ADMIN, resource="user/{id}")
async def delete(call: Call) -> None:
    """Remove a user; 409 for the last admin."""
    call.deletes(await read(call))
    await users.delete(call.session, call.account_id, call.id)
