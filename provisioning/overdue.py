"""Overdue mails: each is called out once, by whichever server sees it first."""

import logging

from provisioning import outbox
from provisioning.db import Database, now

_log = logging.getLogger(__name__)


async def tell(database: Database) -> None:
    """Logs as critical the mails that have become late."""
    at = now()
    async with database.read() as session:
        if not await outbox.is_late(session, at):
            return
    async with database.write() as session:
        late = await outbox.note_late(session, at)
    for mail in late:
        _log.critical(
            "emergency call %s: the mail to %s is not delivered after 60 seconds and %d attempts",
            mail.emergency_call_id,
            mail.recipient,
            mail.attempts,
        )
