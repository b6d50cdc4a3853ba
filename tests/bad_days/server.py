"""A server process that is soon out of patience with its database."""

import logging
from pathlib import Path
from typing import Final

from provisioning.app import make_app
from provisioning.config import Config
from provisioning.listener import serve as serve_app
from provisioning.patience import Patience

QUICK: Final = Patience(turn=1.0, statement=1.0, phone=1.0, health=1.0, ping=0.3, abandoned=1.0)


def serve(database_url: str, key_file: Path, port: int) -> None:
    logging.basicConfig(level="ERROR")
    config = Config(database_url=database_url, key_file=key_file, base_url=f"http://127.0.0.1:{port}")
    serve_app(make_app(config, patience=QUICK), host="127.0.0.1", port=port)
