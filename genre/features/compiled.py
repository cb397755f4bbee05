"""How the kernels of this package are compiled.

Kernels never call kernels of another module: numba's cache on the disk notices a change only in
the file of the kernel itself. What they all share, in this module and in `lanes`, is cleared from
the cache by hand when it changes (`find genre -name "*.nb[ci]" -delete`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from genre.features.lanes import FLAGS

Function = Callable[..., Any]

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


def _compile(function: Function, signatures: tuple[str, ...], options: dict[str, Any]) -> Function:
    decorate: Any = njit(list(signatures) or None, **options)
    built: Function = decorate(function)
    return built
