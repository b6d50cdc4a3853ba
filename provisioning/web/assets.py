"""Static files, under an address that changes with their content, so that browsers may keep them for good."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def url(name: str) -> str:
    """All files are in one folder named by all of them: a module finds the others beside it."""
    assert name in _files(), f"there is no static file {name}"
    return f"/static/{_version()}/{name}"


async def serve(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    content = _files().get(name)
    if content is None or request.match_info["version"] != _version():
        return web.Response(status=404, headers={"Cache-Control": "no-store"})
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        content = _small(name)
    return web.Response(
        body=content, content_type=_TYPES[Path(name).suffix], charset="utf-8", headers=headers
    )


@cache
def _files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(_FOLDER.iterdir()) if file.suffix in _TYPES}


@cache
def _version() -> str:
    whole = hashlib.sha256()
    for name, content in _files().items():
        whole.update(b"%s %d " % (name.encode(), len(content)) + content)
    return whole.hexdigest()[:16]


@cache
def _small(name: str) -> bytes:
    return gzip.compress(_files()[name], mtime=0)
