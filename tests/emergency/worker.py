"""A server process of a storm."""

import logging
from pathlib import Path

from provisioning.app import make_app
from provisioning.config import Config
from provisioning.listener import serve as serve_app
from provisioning.relay import Relay
from provisioning.schedule import Schedule


def serve(database_url: str, key_file: Path, port: int, relay_port: int, schedule: Schedule) -> None:
    logging.basicConfig(level="ERROR")
    config = Config(
        database_url=database_url,
        key_file=key_file,
        base_url=f"http://127.0.0.1:{port}",
        relays=(Relay("127.0.0.1", relay_port),),
    )
    app = make_app(config, schedule=schedule)
    serve_app(app, host="127.0.0.1", port=port)
