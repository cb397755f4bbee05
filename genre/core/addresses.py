"""Addresses as they may be shown and kept: without a password, and without what a query may hold.

Whatever passes on the words of other programs (DVC, MLflow, the network) passes them through here.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

# All up to the last @ is taken for it, also where a password holds a slash that it may not hold.
USER = re.compile(r"(?<=://)[^\s/?#]*@")
USER_WITH_SLASH = re.compile(r"(?<=://)[^\s/:@]*:(?!\d+/)\S*@(?=[\w.\[-])")
QUERY = re.compile(r"(://[^\s?#\"'<>]*)\?[^\s\"'<>)]*")
NAME = re.compile(r"([^?&;=]+)=")  # in a query
# `sslkey` and `passfile` name files, and are none.
SECRET = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|signature"
    r"|(?<![a-z])(pass|sig)(?![a-z])"
    r"|((?<![a-z])(?<!ssl[_.-])|api|access|account|auth|private)key(?![a-z])",
    re.IGNORECASE,
)


def hidden(text: str) -> str:
    """`text` with neither user and password nor query in the addresses that it holds."""
    text = USER.sub("…@", USER_WITH_SLASH.sub("…@", text))
    return QUERY.sub(r"\1?…", text)


def has_password(address: str) -> bool:
    """Whether `address` names a password, before its host or in its query."""
    if any(":" in found[:-1] for found in USER.findall(address)) or USER_WITH_SLASH.search(address):
        return True
    query = unquote(address.partition("?")[2])  # a whole driver's string may be quoted in it
    return any(SECRET.search(name) for name in NAME.findall(query))
