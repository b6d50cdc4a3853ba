"""The closed list of what can be entered in the activity log, and whether it reads or writes."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["read", "write"]

_FAMILIES: Final = (
    "location",
    "extension",
    "phone_number",
    "audio_clip",
    "user",
    "api_key",
    "device",
    "button_template",
)
_READS: Final = """
    account.read telephony.read device_options.read emergency_recipients.read
    provisioning.read provisioning.board provisioning.unknown_phones
    extension.reveal
    device.buttons device.options device.preview device.reveal device.boots device.timeline
    device.current_count device.export
    button_template.fit phone_model.list config.preview
    activity.list activity.events
    switch.call_settings switch.hold_music switch.caller_id switch.directory
    emergency_call.list resync.read
    phone.fetch
"""
_WRITES: Final = """
    account.create account.load account.update
    telephony.update device_options.update emergency_recipients.update
    provisioning.update
    token.generate token.rotate token.stage token.commit token.cancel admin_password.update
    provisioning.tick provisioning.untick provisioning.alarm
    device.import device.set_options device.test_boot device.reopen
    device.resync device.resync_many resync.stop
    button_template.move
    fax.admit emergency_call.report
    session.create session.delete
"""


def _all() -> Iterator[tuple[str, Kind]]:
    for family in _FAMILIES:
        yield from ((f"{family}.{verb}", "read") for verb in ("list", "read"))
        yield from ((f"{family}.{verb}", "write") for verb in ("create", "update", "delete"))
    yield from ((name, "read") for name in _READS.split())
    yield from ((name, "write") for name in _WRITES.split())


EVENTS: Final[Mapping[str, Kind]] = MappingProxyType(dict(sorted(_all())))
