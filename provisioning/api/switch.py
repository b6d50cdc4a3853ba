"""The switch: what it needs to know of the account to register phones and to handle their calls."""

import re
from typing import Annotated

from pydantic import Field

from provisioning import accounts, audio, caller_id, clips, extensions
from provisioning.api.clip_stream import stream
from provisioning.api.operation import SWITCH, Answer, Call, operation
from provisioning.api.stream import Streamed
from provisioning.errors import NotFound
from provisioning.extensions import Extension
from provisioning.fields import SIP_USERNAME, Input
from provisioning.phones.options import resolve


class CallSettings(Answer):
    """`hold_music_url` is where the clip is fetched with the switch's key. The codes are those that phones
    dial, null where neither the account nor the platform sets one; a device may have others."""

    parking_timeout_minutes: int
    parking_timeout_seconds: int
    recording_enabled: bool
    transcription_enabled: bool
    extension_length: int
    hold_music_clip_id: str | None
    hold_music_url: str | None
    park_code: str | None
    pickup_code: str | None
    voicemail_number: str | None
    intercom_prefix: str | None
    record_code: str | None


class CallerQuery(Input):
    """The phone is told by the name with which it registers."""

    sip_username: str


class CallerId(Answer):
    """`number` is E.164, null where none is set for the phone, its extension or the account."""

    sip_username: str
    number: str | None
    display_name: str


class DirectoryQuery(Input):
    """`realm` is the registrar's, as in its challenges."""

    realm: Annotated[str, Field(pattern=r"^[ !#-\[\]-~]{1,255}$")] | None = None


class DirectoryEntry(Answer):
    """With a realm `ha1` and no `password`, without one the `password`."""

    sip_username: str
    number: str
    display_name: str
    voicemail_enabled: bool
    password: str | None = Field(repr=False)
    ha1: str | None = Field(repr=False)


@operation("GET", "/switch/call-settings", "switch.call_settings", roles=SWITCH, answer=CallSettings)
async def call_settings(call: Call) -> CallSettings:
    """How calls are handled. Ask again with the answer's ETag as If-None-Match: 304 says nothing changed."""
    account = await accounts.get(call.session, call.account_id)
    telephony, options = account.telephony, resolve(call.rendering.platform, account.options)
    clip = telephony.hold_music_clip_id
    return CallSettings(
        parking_timeout_minutes=telephony.parking_timeout_minutes,
        parking_timeout_seconds=60 * telephony.parking_timeout_minutes,
        recording_enabled=telephony.recording_enabled,
        transcription_enabled=telephony.transcription_enabled,
        extension_length=telephony.extension_length,
        hold_music_clip_id=clip,
        hold_music_url=clip and f"{call.base_url}/api/v1/switch/audio-clips/{clip}",
        park_code=options.park_code,
        pickup_code=options.pickup_code,
        voicemail_number=options.voicemail_number,
        intercom_prefix=options.intercom_prefix,
        record_code=options.record_code,
    )


@operation(
    "GET",
    "/switch/audio-clips/{id}",
    "switch.hold_music",
    roles=SWITCH,
    streams=tuple(audio.SUFFIXES),
    resource="audio_clip/{id}",
)
async def hold_music(call: Call) -> Streamed:
    """The recording that held callers hear; another clip of the account is not the switch's business."""
    account = await accounts.get(call.session, call.account_id)
    if call.id != account.telephony.hold_music_clip_id:
        raise NotFound("this is not the account's hold music")
    return stream(call, await clips.get(call.session, call.account_id, call.id))


@operation(
    "GET",
    "/switch/caller-id",
    "switch.caller_id",
    roles=SWITCH,
    answer=CallerId,
    query=CallerQuery,
    resource="extension",
    failures=(404,),
)
async def read_caller_id(call: Call, query: CallerQuery) -> CallerId:
    """The number that an outbound call shows: the phone's, else the extension's, else the account's."""
    extension = await _extension(call, query.sip_username)
    return CallerId(
        sip_username=extension.sip_username,
        number=await caller_id.of_extension(call.session, call.account_id, extension),
        display_name=extension.display_name,
    )


@operation(
    "GET",
    "/switch/directory/{sip_username}",
    "switch.directory",
    roles=SWITCH,
    answer=DirectoryEntry,
    query=DirectoryQuery,
    resource="extension",
)
async def directory(call: Call, query: DirectoryQuery) -> DirectoryEntry:
    """The credentials with which a phone registers: HA1 = MD5(username:realm:password) for a realm."""
    extension = await _extension(call, call.path["sip_username"])
    ((_, password),) = await extensions.with_passwords(
        call.session, call.vault, call.account_id, [extension.id]
    )
    realm = query.realm
    return DirectoryEntry(
        sip_username=extension.sip_username,
        number=extension.number,
        display_name=extension.display_name,
        voicemail_enabled=extension.voicemail_enabled,
        password=password if realm is None else None,
        ha1=None if realm is None else extensions.ha1(extension.sip_username, realm, password),
    )


async def _extension(call: Call, sip_username: str) -> Extension:
    # Whatever else a stranger's phone calls itself, the databases need not be asked for it.
    good = re.fullmatch(SIP_USERNAME, sip_username)
    found = await extensions.find_registered(call.session, call.account_id, sip_username) if good else None
    if found is None:
        raise NotFound("there is no such SIP user name")
    call.resource = f"extension/{found.id}"
    return found
