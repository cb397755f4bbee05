"""Ask a service on this machine whether it answers, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_SECONDS = 5.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(address: str) -> bytes | None:
    """What a page holds, or None where nothing answers or it is no success."""
    try:
        with _direct.open(address, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def answers(address: str) -> bool:
    """Whether a page answers with success."""
    return read(address) is not None


def read_json(address: str) -> Any:
    """The JSON that a page holds, or None."""
    content = read(address)
    return None if content is None else json.loads(content)
