"""What a page is that is not HTML, by its declared type and, where that says HTML or nothing, its first bytes."""

from __future__ import annotations

_TYPES = {
    "application/pdf": "pdf",
    "application/json": "json",
    "application/ld+json": "json",
    "text/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/rss+xml": "feed",
    "application/atom+xml": "feed",
    "application/javascript": "javascript",
    "application/x-javascript": "javascript",
    "text/javascript": "javascript",
    "text/css": "css",
    "text/plain": "plain text",
    "text/csv": "plain text",
    "application/zip": "archive",
    "application/gzip": "archive",
    "application/x-gzip": "archive",
    "application/msword": "office",
    "application/octet-stream": "bytes",
}
_PREFIXES = {
    "image/": "image",
    "audio/": "audio",
    "video/": "video",
    "font/": "font",
    "application/font": "font",
    "application/vnd.openxmlformats": "office",
    "application/vnd.ms-": "office",
    "application/vnd.oasis": "office",
}
_FIRST_BYTES = {
    b"%PDF-": "pdf",
    b"\x89PNG": "image",
    b"\xff\xd8\xff": "image",
    b"GIF8": "image",
    b"PK\x03\x04": "archive",
    b"\x1f\x8b": "archive",
    b"{": "json",
    b"[": "json",
    b"<?xml": "xml",
}
_SAYS_NOTHING = ("", "text/html", "application/xhtml+xml")


def page_type(content_type: str, body: bytes) -> str:
    """The kind of a page that is not HTML: `pdf`, `image`, `json` and the like, `other`, or `undeclared`."""
    mime = content_type.partition(";")[0].strip().lower()
    if mime in _SAYS_NOTHING:
        start = body[:64].lstrip()
        return next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), "undeclared")
    if mime in _TYPES:
        return _TYPES[mime]
    return next((kind for prefix, kind in _PREFIXES.items() if mime.startswith(prefix)), "other")
