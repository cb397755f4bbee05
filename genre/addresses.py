"""Addresses as they may be shown and kept: without a password, and without what a query may hold.

Whatever passes on the words of other programs (DVC, MLflow, the network) passes them through here.
"""

from __future__ import annotations

import re

# All up to the last @ is taken for it, also where a password holds a slash that it may not hold.
USER = re.compile(r"(?<=://)[^\s/?#]*@")
USER_WITH_SLASH = re.compile(r"(?<=://)[^\s/:@]*:(?!\d+/)\S*@(?=[\w.\[-])")
QUERY = re.compile(r"(://[^\s?#\"'<>]*)\?[^\s\"'<>)]*")


def hidden(text: str) -> str:
    """`text` with neither user and password nor query in the addresses that it holds."""
    text = USER.sub("…@", USER_WITH_SLASH.sub("…@", text))
    return QUERY.sub(r"\1?…", text)


def has_password(address: str) -> bool:
    """Whether `address` names a password."""
    return any(":" in found[:-1] for found in USER.findall(address))
