"""Redact passwords and queries in URLs before they are shown or stored.

Messages of other programs (DVC, MLflow, HTTP clients) go through `redact`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

# Everything up to the last @, even if a password holds an unescaped slash.
USER = re.compile(r"(?<=://)[^\s/?#]*@")
USER_WITH_SLASH = re.compile(r"(?<=://)[^\s/:@]*:(?!\d+/)\S*@(?=[\w.\[-])")
QUERY = re.compile(r"(://[^\s?#\"'<>]*)\?[^\s\"'<>)]*")
NAME = re.compile(r"([^?&;=]+)=")  # in a query
# Not `sslkey` and `passfile`, which name files.
SECRET = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|signature"
    r"|(?<![a-z])(pass|sig)(?![a-z])"
    r"|((?<![a-z])(?<!ssl[_.-])|api|access|account|auth|private)key(?![a-z])",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace user, password and query by `…` in every URL in `text`."""
    text = USER.sub("…@", USER_WITH_SLASH.sub("…@", text))
    return QUERY.sub(r"\1?…", text)


def has_password(address: str) -> bool:
    """Whether the URL `address` holds a password, before its host or in its query."""
    if any(":" in found[:-1] for found in USER.findall(address)) or USER_WITH_SLASH.search(address):
        return True
    query = unquote(address.partition("?")[2])  # it may hold a quoted ODBC string
    return any(SECRET.search(name) for name in NAME.findall(query))
