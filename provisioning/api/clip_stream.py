"""The content of an audio clip as a streamed answer, for people and for the switch."""

from functools import partial

from provisioning import clips
from provisioning.api.operation import Call
from provisioning.api.stream import Streamed, span
from provisioning.clips import Clip


def stream(call: Call, clip: Clip) -> Streamed:
    """The clip, or the range of it that the call asks for. Raises `Refused` with 416."""
    etag = f'"{clip.id}"'  # what a clip holds never changes
    return Streamed(
        content_type=clip.content_type,
        file_name=clip.file_name,
        etag=etag,
        size=clip.size,
        piece=partial(clips.piece, clip_id=clip.id),
        span=span(call.headers, clip.size, etag),
    )
