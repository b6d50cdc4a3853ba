"""Audio clips: the recordings of an account, kept in chunks so that a part is read without the rest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import audio, db
from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound, invalid, missing
from provisioning.fields import Input, Text

MOST: Final = 5 * 1024 * 1024  # bytes of one clip
_CHUNK: Final = 64 * 1024


class ClipForm(Input):
    name: Text


class Row(Base):
    """The content of a clip never changes: another recording is another clip."""

    __tablename__ = "audio_clips"
    __table_args__ = (sa.UniqueConstraint("account_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[datetime]


class ChunkRow(Base):
    """The bytes of a clip from `index` * `_CHUNK` on; all chunks but the last are of that size."""

    __tablename__ = "audio_clip_chunks"

    clip_id: Mapped[str] = mapped_column(
        sa.ForeignKey("audio_clips.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]


@dataclass(frozen=True, slots=True)
class Clip:
    id: str
    name: str
    content_type: str
    size: int
    created_at: datetime

    @property
    def file_name(self) -> str:
        return f"{self.name}.{audio.SUFFIXES[self.content_type]}"


async def add(session: AsyncSession, account_id: str, form: ClipForm, content: bytes) -> Clip:
    """A new clip; its type is told from its content. Raises `Invalid` for `name` or `file`."""
    if await session.scalar(sa.select(Row.id).where(Row.account_id == account_id, Row.name == form.name)):
        raise invalid("name", "another audio clip has this name")
    content_type = audio.type_of(content)
    if content_type is None:
        raise invalid("file", "must be a WAV, MP3, OGG or WebM file" if content else "must not be empty")
    row = Row(id=new_id("clip"), account_id=account_id, name=form.name, created_at=now())
    row.content_type, row.size = content_type, len(content)
    session.add(row)
    await session.flush()
    starts = range(0, len(content), _CHUNK)
    await session.execute(
        sa.insert(ChunkRow),
        [
            {"clip_id": row.id, "index": index, "content": content[start : start + _CHUNK]}
            for index, start in enumerate(starts)
        ],
    )
    return _clip(row)


async def get(session: AsyncSession, account_id: str, clip_id: str) -> Clip:
    return _clip(await _row(session, account_id, clip_id))


async def expect(session: AsyncSession, account_id: str, clip_id: str | None, *, field: str) -> None:
    """Raises `Invalid` for that field unless the id is None or that of a clip of the account."""
    if clip_id is not None:
        with missing(field):
            await _row(session, account_id, clip_id)


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Clip], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_clip(row) for row in rows], following


async def piece(session: AsyncSession, start: int, stop: int, *, clip_id: str) -> bytes:
    """The bytes of a clip from `start` to `stop`, or to the end of the chunk in which `start` lies.

    Raises `NotFound` when the clip was removed meanwhile.
    """
    index, begin = divmod(start, _CHUNK)
    content = await session.scalar(
        sa.select(ChunkRow.content).where(ChunkRow.clip_id == clip_id, ChunkRow.index == index)
    )
    if content is None:
        raise NotFound("there is no such audio clip")
    return content[begin : begin + stop - start]


async def delete(session: AsyncSession, account_id: str, clip_id: str) -> None:
    """Raises `Conflict` while it is the account's hold music."""
    await session.delete(await _row(session, account_id, clip_id))
    await db.flush_or_conflict(session, "this clip is the account's hold music")


async def _row(session: AsyncSession, account_id: str, clip_id: str) -> Row:
    row = await session.get(Row, clip_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such audio clip")
    return row


def _clip(row: Row) -> Clip:
    return Clip(row.id, row.name, row.content_type, row.size, row.created_at)
