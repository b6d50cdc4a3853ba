"""The phone options of one device, one by one: what is null is inherited from the account."""

from provisioning import devices, gathering
from provisioning.api.account import DeviceOptionsAnswer
from provisioning.api.operation import READER, TECHNICIAN, Call, merged, operation
from provisioning.fields import check
from provisioning.phones.options import Options


@operation(
    "GET",
    "/devices/{id}/options",
    "device.options",
    roles=READER,
    answer=DeviceOptionsAnswer,
    resource="device/{id}",
)
async def read(call: Call) -> DeviceOptionsAnswer:
    """The phone options that the device itself sets."""
    device = await devices.get(call.session, call.account_id, call.id)
    return DeviceOptionsAnswer.model_validate(device.options)


@operation(
    "PATCH",
    "/devices/{id}/options",
    "device.set_options",
    roles=TECHNICIAN,
    answer=DeviceOptionsAnswer,
    body=Options,
    resource="device/{id}",
)
async def update(call: Call, body: Options) -> DeviceOptionsAnswer:
    """Change phone options of the device and leave its others; null inherits from the account again."""
    before = await read(call)
    call.expect(before)
    device = await devices.get(call.session, call.account_id, call.id)
    options = check(Options, merged(device.options, body))
    form = device.form().model_copy(update={"options": options})
    changed = await devices.update(call.session, call.rendering.vendors, call.account_id, call.id, form)
    await gathering.try_out(call.session, call.vault, call.rendering, changed)
    after = await read(call)
    call.changed(before, after)
    return after
