"""What a Polycom calls itself, and what it puts into the names of files."""

import re

from provisioning.phones.phone import Model

_BRANDS = {
    "SPIP": "PolycomSoundPointIP",
    "SSIP": "PolycomSoundStationIP",
    "SSDuo": "PolycomSoundStationIP",
    "VVX": "PolycomVVX",
    "Trio": "PolycomRealPresenceTrio",
    "Edge": "PolyEdge",
    "CCX": "PolyCCX",
}


def usual_firmware(model: Model) -> str:
    return "3.3.5.0247" if model.facts.get("era") == "3.x" else "5.9.7.4477"


def is_known(name: str, firmware: str) -> bool:
    """Whether this software has the parameter: for where to boot from, it is known of UC software 4.0 on."""
    return not name.startswith("device.prov.server") or int(firmware.split(".")[0]) >= 4


def user_agent(model: Model, firmware: str, stage: str) -> str:
    """`stage` is Application, or Updater: the boot loader, which has a version of its own."""
    token = str(model.facts["user_agent"][0])
    brand = next((brand for start, brand in _BRANDS.items() if token.startswith(start)), "Polycom")
    version = f"{firmware}5" if stage == "Updater" else firmware
    # Software before 4.0 does not say at which stage it is.
    said = f" Type/{stage}" if int(firmware.split(".")[0]) >= 4 else ""
    return f"FileTransport {brand}-{token}-UA/{version}{said}"


def phone_model(model: Model) -> str:
    """What the phone puts for [PHONE_MODEL], and looks for at the end of an attribute's name."""
    return str(model.facts.get("phone_model") or model.name.replace(" ", ""))


def part_number(model: Model) -> str:
    return str(model.facts.get("part_number", "3111-00000-001"))


def filled(text: str, model: Model, mac: str) -> str:
    """The text with the phone's own data in place of their names in brackets."""
    own = {
        "PHONE_MAC_ADDRESS": mac,
        "PHONE_MODEL": phone_model(model),
        "PHONE_PART_NUMBER": part_number(model),
    }
    return re.sub(r"\[(\w+)\]", lambda match: own.get(match[1], match[0]), text)
