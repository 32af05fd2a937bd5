"""The built page as files in memory, in the forms a browser may take them."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

import msgspec

BUILT = Path(__file__).parent / "built"

IMMUTABLE = "public, max-age=31536000, immutable"
"""For names that hold a hash of the content: another content has another name."""
ASK_AGAIN = "no-cache"

_SHORTER = {".br": "br", ".gz": "gzip"}
"""What the build leaves beside a file, best first."""
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `encoded`: content encoding → the same, shorter; best first."""

    body: bytes
    media_type: str
    cache: str
    etag: str
    encoded: dict[str, bytes] = {}

    def chosen(self, accepted: str) -> tuple[str, bytes]:
        """The shortest form that a browser accepts, and its encoding; "" is the plain one."""
        named = {part.partition(";")[0].strip() for part in accepted.lower().split(",") if ";q=0" not in part}
        return next(((name, body) for name, body in self.encoded.items() if name in named), ("", self.body))


def read_files(folder: Path) -> dict[str, File]:
    """Path below the folder (`assets/index-1a2b.js`) → file; empty when the page was not built."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in _SHORTER]
    return {path.relative_to(folder).as_posix(): _read(path, folder) for path in paths}


def _read(path: Path, folder: Path) -> File:
    body = path.read_bytes()
    beside = {name: path.with_name(path.name + ending) for ending, name in _SHORTER.items()}
    return File(
        body=body,
        media_type=_media_type(path),
        cache=IMMUTABLE if path.parent == folder / "assets" else ASK_AGAIN,
        etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
        encoded={name: other.read_bytes() for name, other in beside.items() if other.is_file()},
    )


def _media_type(path: Path) -> str:
    """Not what the machine's own tables say of the kinds that must be right for a page to work."""
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
