"""The scene of an emergency call: who called and from where, as it was known when it was reported."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import pydantic
from pydantic import Field


class _Known(pydantic.BaseModel):
    """Kept as JSON, and read again by later versions: each field that is added needs a default."""

    model_config = pydantic.ConfigDict(frozen=True)


class Phone(_Known):
    name: str
    model: str
    mac: str


class Place(_Known):
    """A location that the call may come from; one without an id stands for phones that have none."""

    location_id: str | None
    name: str | None
    address: Mapping[str, str] | None
    callback_number: str | None
    timezone: str | None
    recipients: Annotated[Sequence[str], Field(exclude=True)] = ()
    phones: tuple[Phone, ...] = ()


class Scene(_Known):
    """`caller` is a name and number, "" when neither phone nor extension is known. The call came from one
    of `places`; `notes` are sentences that say what is not known."""

    account: str
    timezone: str
    recipients: Annotated[Sequence[str], Field(exclude=True)] = ()
    caller: str = ""
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def location_ids(self) -> list[str]:
        return [place.location_id for place in self.places if place.location_id]

    @property
    def location_names(self) -> list[str]:
        return [place.name for place in self.places if place.name]

    @property
    def certain(self) -> bool:
        """Whether it is known from which location the call came."""
        return len(self.places) == 1 and self.places[0].location_id is not None

    @property
    def warnings(self) -> list[str]:
        """What an admin should mend before the next call: the notes, and what the places lack."""
        bare = [place.name for place in self.places if place.location_id and not place.address]
        return [*self.notes, *(f"The location {name} has no address." for name in bare)]

    def everyone(self) -> list[str]:
        """All recipients, each address once whatever its case."""
        places = (address for place in self.places for address in place.recipients)
        once = {address.lower(): address for address in reversed([*self.recipients, *places])}
        return list(reversed(once.values()))
