"""Audio clips: the account's recordings, one of which held callers may hear."""

from datetime import datetime

from provisioning import audio, clips
from provisioning.api.clip_stream import stream
from provisioning.api.operation import ADMIN, READER, Answer, Call, Paging, operation, page_of
from provisioning.api.stream import Streamed
from provisioning.clips import Clip, ClipForm


class ClipAnswer(Answer):
    id: str
    name: str
    content_type: str
    size: int
    created_at: datetime


ClipPage = page_of(ClipAnswer)


def _answer(clip: Clip) -> ClipAnswer:
    return ClipAnswer.model_validate(clip)


@operation(
    "GET",
    "/audio-clips",
    "audio_clip.list",
    roles=READER,
    answer=ClipPage,
    query=Paging,
    resource="audio_clip",
)
async def list_(call: Call, query: Paging) -> Answer:
    """The audio clips, newest first."""
    found, following = await clips.page(call.session, call.account_id, limit=query.limit, cursor=query.cursor)
    return ClipPage(data=[_answer(clip) for clip in found], next_cursor=following)


@operation(
    "POST",
    "/audio-clips",
    "audio_clip.create",
    roles=ADMIN,
    answer=ClipAnswer,
    body=ClipForm,
    file_limit=clips.MOST,
    resource="audio_clip",
    status=201,
)
async def create(call: Call, body: ClipForm, file: bytes) -> ClipAnswer:
    """A new audio clip: WAV, MP3, OGG or WebM by its content, 5 MiB at most."""
    made = await clips.add(call.session, call.account_id, body, file)
    return call.created(_answer(made))


@operation(
    "GET",
    "/audio-clips/{id}",
    "audio_clip.read",
    roles=READER,
    answer=ClipAnswer,
    resource="audio_clip/{id}",
)
async def read(call: Call) -> ClipAnswer:
    """One audio clip, without its content."""
    return _answer(await clips.get(call.session, call.account_id, call.id))


@operation(
    "GET",
    "/audio-clips/{id}/content",
    "audio_clip.read",
    roles=READER,
    streams=tuple(audio.SUFFIXES),
    resource="audio_clip/{id}",
)
async def content(call: Call) -> Streamed:
    """The recording, whole or the range that is asked for."""
    return stream(call, await clips.get(call.session, call.account_id, call.id))


@operation("DELETE", "/audio-clips/{id}", "audio_clip.delete", roles=ADMIN, resource="audio_clip/{id}")
async def delete(call: Call) -> None:
    """Remove an audio clip; 409 while it is the account's hold music."""
    call.deletes(await read(call))
    await clips.delete(call.session, call.account_id, call.id)
