"""A server process of a storm: `python worker.py DATABASE_URL KEY_FILE PORT RELAY_PORT SCHEDULE`."""

import json
import logging
import sys
from pathlib import Path

from aiohttp import web

from provisioning.app import make_app
from provisioning.config import Config
from provisioning.relay import Relay
from provisioning.schedule import Schedule


def main(database_url: str, key_file: str, port: str, relay_port: str, schedule: str) -> None:
    logging.basicConfig(level="ERROR")
    config = Config(
        database_url=database_url,
        key_file=Path(key_file),
        base_url=f"http://127.0.0.1:{port}",
        relays=(Relay("127.0.0.1", int(relay_port)),),
    )
    app = make_app(config, schedule=Schedule(**json.loads(schedule)))
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


main(*sys.argv[1:])
