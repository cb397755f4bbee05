"""How the kernels of this package are compiled.

Conventions of every kernel: `LANES` neighbouring frames lie side by side as the last axis of an
array, and the innermost loop runs over them, so that the compiler turns it into vector
instructions; a *block* is such a group of frames. Kernels never call kernels of another module:
numba's cache on the disk notices a change only in the file of the kernel itself (and `LANES`,
which they all share, is such a change: clear the cache when it is turned).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

LANES = 16  # frames: two 512-bit or four 256-bit registers of float64

Function = Callable[..., Any]

# Signals are finite by the time a kernel sees them, and the sign of a zero says nothing.
FINITE = frozenset({"nnan", "ninf", "nsz", "contract"})
# Sums may be taken in any order, so that they too become vector instructions.
ANY_ORDER = FINITE | {"reassoc"}


def kernel(
    *signatures: str, rounding: frozenset[str] = frozenset()
) -> Callable[[Function], Function]:
    """Compile a function for these signatures alone, and keep the machine code on the disk.

    `rounding`: the liberties that the compiler may take; with none, every operation rounds as
    it is written. Where no folder for the cache can be written, the code is compiled in memory.
    """

    def compiled(function: Function) -> Function:
        options = {"error_model": "numpy", "fastmath": set(rounding), "nogil": True}
        try:
            built: Function = njit(list(signatures), cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            built = njit(list(signatures), **options)(function)
        return built

    return compiled


def inline(function: Function) -> Function:
    """Compile a helper that becomes part of every kernel of its module that calls it."""
    built: Function = njit(forceinline=True, error_model="numpy", fastmath=set(FINITE))(function)
    return built


def shared(function: Function) -> Function:
    """Compile a helper once for all kernels of its module that call it."""
    built: Function = njit(error_model="numpy", fastmath=set(FINITE))(function)
    return built
