"""Gives one letter to one relay, and says in plain words why that did not succeed."""

import asyncio
import re
import socket
import ssl
from functools import cache

import aiosmtplib
from aiosmtplib import SMTP

from provisioning.letter import Letter
from provisioning.relay import Relay


class Unsent(Exception):
    """Its text is for people. `unclear` is whether the relay may have the mail all the same."""

    def __init__(self, words: str, *, unclear: bool = False) -> None:
        self.unclear = unclear
        super().__init__(words)


async def deliver(relay: Relay, letter: Letter, within: asyncio.Timeout) -> None:
    """Returns once the relay has said that it has the mail, else raises `Unsent`."""
    smtp = SMTP(
        hostname=relay.host,
        port=relay.port,
        timeout=None,  # `within` is the limit of all steps together
        use_tls=relay.tls,
        start_tls=None if not relay.sure else not relay.tls,
        tls_context=_context(relay.sure),
        # Not the machine's own name, which nobody may know and which takes a look-up.
        local_hostname=letter.sender.rpartition("@")[2],
    )
    handed_over = False
    try:
        async with within:
            await smtp.connect(username=relay.username, password=relay.password)
            encoding, options = ("utf-8", ["SMTPUTF8", "BODY=8BITMIME"]) if letter.utf8 else ("ascii", [])
            await smtp.mail(letter.sender, options=options)
            await smtp.rcpt(letter.recipient, encoding=encoding)
            handed_over = True
            await smtp.data(letter.content)
    except aiosmtplib.SMTPAuthenticationError as error:
        # What a relay says to a login may repeat it.
        raise Unsent(f"it refused our user name or password ({error.code})") from None
    except aiosmtplib.SMTPResponseException as error:
        raise Unsent(f"it refused {_what(error)}: {error.code} {_plain(error.message)}") from None
    except TimeoutError:
        raise Unsent("it did not answer in time", unclear=handed_over) from None
    except (aiosmtplib.SMTPServerDisconnected, OSError) as error:
        raise Unsent(_broken(error), unclear=handed_over) from None
    except (aiosmtplib.SMTPException, ValueError):
        raise Unsent("it does not know what is needed: STARTTLS, a login or SMTPUTF8") from None
    finally:
        # Without QUIT, which a relay may take its time to answer: it has said that it has the mail.
        smtp.close()


@cache
def _context(sure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not sure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _what(error: aiosmtplib.SMTPResponseException) -> str:
    match error:
        case aiosmtplib.SMTPRecipientRefused():
            return "the recipient"
        case aiosmtplib.SMTPSenderRefused():
            return "the sender"
        case aiosmtplib.SMTPDataError():
            return "the mail"
    return "us"


def _broken(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not good for its name"
    if isinstance(cause, ssl.SSLError):
        return "no encrypted connection came about"
    if isinstance(cause, socket.gaierror):
        return "its name is not known"
    if isinstance(error, aiosmtplib.SMTPConnectError):
        return "it could not be reached"
    return "the connection broke"


def _plain(text: str) -> str:
    """A stranger's words on one short line."""
    return re.sub(r"[^ -~]+", " ", text)[:200].strip()
