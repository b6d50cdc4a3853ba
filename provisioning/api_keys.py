"""API keys: how programs authenticate; the key is shown once and kept as a digest."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.vault import Vault


class Row(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    role: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]


async def add(session: AsyncSession, vault: Vault, account_id: str, *, name: str, role: str) -> str:
    """The new key: `ppk_` and 43 characters, 256 bit."""
    key = f"ppk_{secrets.token_urlsafe(32)}"
    session.add(
        Row(
            id=new_id("ak"),
            account_id=account_id,
            name=name,
            role=role,
            digest=vault.digest(key),
            created_at=now(),
        )
    )
    await session.flush()
    return key
