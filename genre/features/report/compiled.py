"""How the kernels of this package are compiled.

Kernels call helpers of their own module and of the three in `SHARED`, never a kernel of another:
numba's cache on the disk notices a change only in the file of the kernel itself. That of the shared
modules is told it by the names under which it keeps the machine code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import njit

from genre.features.report.lanes import FLAGS

Function = Callable[..., Any]

SHARED = ("compiled.py", "lanes.py", "turning.py")

FINITE = frozenset(FLAGS)
# Sums may be taken in any order, so that the compiler can make vector instructions of them.
ANY_ORDER = FINITE | {"reassoc"}


def kernel(
    *signatures: str, rounding: frozenset[str] = frozenset()
) -> Callable[[Function], Function]:
    """Compile a function for these signatures alone, and keep the machine code on the disk.

    `rounding`: the liberties that the compiler may take with single numbers; with none, every
    operation rounds as it is written. Where no folder can be written, the code is compiled in
    memory.
    """
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": set(rounding), "nogil": True}

    def compiled(function: Function) -> Function:
        function.__qualname__ += f"_{_version()}"
        try:
            return _compile(function, signatures, {**options, "cache": True})
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return _compile(function, signatures, options)

    return compiled


def inline(function: Function) -> Function:
    """Compile a helper that becomes part of every kernel of its module that calls it."""
    options = {"error_model": "numpy", "fastmath": set(FINITE), "forceinline": True}
    return _compile(function, (), options)


def shared(function: Function) -> Function:
    """Compile a helper once for all kernels of its module that call it."""
    return _compile(function, (), {"error_model": "numpy", "fastmath": set(FINITE)})


@lru_cache(maxsize=1)
def _version() -> str:
    """Return eight characters that change with the source of the shared modules."""
    sources = [(Path(__file__).parent / name).read_bytes() for name in SHARED]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:8]


def _compile(function: Function, signatures: tuple[str, ...], options: dict[str, Any]) -> Function:
    decorate: Any = njit(list(signatures) or None, **options)
    built: Function = decorate(function)
    return built
