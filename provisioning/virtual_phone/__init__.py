"""Phones that boot as their vendors' firmware does, over real HTTP, and keep what they were told."""

from provisioning.errors import NotFound
from provisioning.phones.phone import Model
from provisioning.virtual_phone.http import REASON, Exchange, Way
from provisioning.virtual_phone.phone import Boot, HeldKey, HeldLine, Maker, VirtualPhone
from provisioning.virtual_phone.polycom import PolycomPhone
from provisioning.virtual_phone.yealink import YealinkPhone

__all__ = ["REASON", "Boot", "Exchange", "HeldKey", "HeldLine", "VirtualPhone", "Way", "virtual_phone"]

_MAKES: dict[str, type[VirtualPhone]] = {"polycom": PolycomPhone, "yealink": YealinkPhone}


def virtual_phone(
    vendor: Maker, model: Model, mac: str, firmware: str | None = None, *, expansion: str | None = None
) -> VirtualPhone:
    """A phone as it comes out of its box. `expansion` names the type of its modules, by default the first.

    Raises `NotFound` for a vendor whose firmware nobody has taught us to play.
    """
    if vendor.name not in _MAKES:
        raise NotFound(f"no virtual phone plays the firmware of {vendor.name}")
    return _MAKES[vendor.name](model, mac, firmware=firmware, expansion=expansion)
