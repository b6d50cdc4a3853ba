"""An admin who rotates and changes settings, and can have the worker killed that is at work for them."""

import asyncio
import json
import os
import signal
from time import monotonic
from typing import Final

from tests.rotation import bodies
from tests.rotation.client import Answer, Client
from tests.rotation.operations import Change, Rotation
from tests.rotation.processes import children, holder
from tests.rotation.seen import Seen, Server

_PROVISIONING: Final = "/account/provisioning"


class Admin:
    """On a connection that is kept. Nothing here gives up: what was asked is answered or has died."""

    def __init__(self, seen: Seen, server: Server) -> None:
        self._seen, self._server = seen, server
        self._client = Client(server.port, kept=True)
        self._took = 0.02  # seconds, a rotation

    async def look(self) -> int:
        """The current generation, 0 if there is none."""
        while True:
            begun = monotonic()
            if answer := await self._ask("GET", _PROVISIONING):
                return self._seen.learn(answer.json, begun, monotonic())

    async def rotate(self, *, kill: bool = False) -> None:
        """The token and the password in one; `kill` ends the worker before, while or just after it does."""
        killing = asyncio.create_task(self._kill(await self._worker())) if kill else None
        begun = monotonic()
        answer = await self._ask("POST", f"{_PROVISIONING}/rotate", {"rotate_admin_password": True})
        ended = monotonic()
        if answer:
            generation = int(answer.json["generation"])
            self._seen.note(Rotation(begun, ended, generation), "rotations")
            self._seen.know(generation, answer.json)
            self._took += (ended - begun - self._took) / 8
        else:
            self._seen.note(Rotation(begun, ended, None), "rotations without an answer")
        if killing:
            await killing
        if not answer:
            await self.look()

    async def change(self) -> int | None:
        """The number of the new settings, None when no answer came."""
        number = next(self._seen.numbers)
        begun = monotonic()
        answer = await self._ask("PATCH", "/account/device-options", bodies.settings(number))
        outcome = "changes" if answer else "changes without an answer"
        self._seen.note(Change(begun, monotonic(), number, answer is not None), outcome)
        return number if answer else None

    def close(self) -> None:
        self._client.close()

    async def _worker(self) -> int | None:
        """The process that has accepted our connection."""
        await self.look()
        server, port = self._server, self._client.own_port
        return holder(children(server.supervisor), server.port, port) if port else None

    async def _kill(self, pid: int | None) -> None:
        await asyncio.sleep(self._seen.chance.uniform(0, 1.5 * self._took))
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._seen.counts["kills"] += 1

    async def _ask(self, method: str, path: str, body: object = None) -> Answer | None:
        """None when the connection ended, or the server says that it failed."""
        headers = {"Authorization": f"Bearer {self._seen.target.key}", "Content-Type": "application/json"}
        sent = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._client.ask(method, f"/api/v1{path}", sent, headers)
        except OSError:
            return None
        if answer.status == 200:
            return answer
        self._seen.counts[f"answered {method} {answer.status}"] += 1
        return None
