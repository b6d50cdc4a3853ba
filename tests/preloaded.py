"""What each process of the tests has already done when it begins: see `tests.shell`."""

import gc

from sqlalchemy.orm import configure_mappers

import provisioning.cli  # noqa: F401
import tests.bad_days.server
import tests.emergency.worker  # noqa: F401
from provisioning.phones.vendor import load_vendors

configure_mappers()
for vendor in load_vendors(None).values():
    vendor.load_templates()
gc.freeze()
