"""Numbers that are `LANES` numbers side by side, for compiled code.

Conventions: a *row* is `LANES` neighbouring elements of a flat float32 or float64 array. `load`
takes one, `store` puts one back, and between the two a kernel calculates with it as with a single
number: `store(y, i, a * load(x, i) + b)`. Each operation is a vector instruction (two or four on
a processor with narrower registers). The compiler finds such instructions by itself only in loops
that it can prove harmless, and that changes with its version; here they are spelt out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, types
from numba.extending import models, overload, register_model

LANES = 16  # two 512-bit or four 256-bit registers of float64

# Signals are finite by the time a kernel sees them, and the sign of a zero says nothing.
FLAGS = ("nnan", "ninf", "nsz", "contract")

Build = Callable[..., Any]

# Functions that kernels call and that are never called otherwise: their types are the compiler's.
intrinsic: Callable[[Callable[..., Any]], Any] = extending.intrinsic


class Lanes(types.Type):
    """The compiler's type of a row of `dtype`."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        vector = ir.VectorType(element, LANES)
        super().__init__(manager, lanes, vector)  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, array: Any, kind: Any, index: Any, vector: Any) -> Any:
    start = builder.gep(context.make_array(kind)(context, builder, value=array).data, [index])
    return builder.bitcast(start, vector.as_pointer())


def _spread(context: Any, builder: Any, value: Any, kind: Any, lanes: Lanes) -> Any:
    """Return `value` as a row: itself, or a single number in every lane."""
    if isinstance(kind, Lanes):
        return value
    vector = context.get_value_type(lanes)
    value = context.cast(builder, value, kind, lanes.dtype)
    first = builder.insert_element(vector(ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, vector(ir.Undefined), _places([0] * LANES))


def _pair(lanes: Lanes) -> Any:
    return types.UniTuple(lanes, 2)  # type: ignore[no-untyped-call]


def _places(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


@intrinsic
def load(_typing: Any, array: Any, _index: Any) -> tuple[Any, Build]:
    """Return the row of a flat array that starts at `index`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(signature.return_type)
        start = _pointer(context, builder, arguments[0], array, arguments[1], vector)
        return builder.load(start, align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), build


@intrinsic
def store(_typing: Any, array: Any, _index: Any, row: Any) -> tuple[Any, Build] | None:
    """Put a row into a flat array of the same precision, from `index` on."""

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(row)
        start = _pointer(context, builder, arguments[0], array, arguments[1], vector)
        builder.store(arguments[2], start, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return (types.void(array, types.intp, row), build) if array.dtype == row.dtype else None


@intrinsic
def load_complex(_typing: Any, array: Any, _index: Any) -> tuple[Any, Build]:
    """Return the real and the imaginary parts of `LANES` complex numbers, stored in turns."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.get_value_type(array.dtype)
        both = ir.VectorType(element, 2 * LANES)
        start = _pointer(context, builder, arguments[0], array, arguments[1], both)
        value = builder.load(start, align=array.dtype.bitwidth // 8)
        parts = [
            builder.shuffle_vector(value, value, _places(list(range(first, 2 * LANES, 2))))
            for first in (0, 1)
        ]
        return context.make_tuple(builder, signature.return_type, parts)

    return _pair(Lanes(array.dtype))(array, types.intp), build


@intrinsic
def store_complex(
    _typing: Any, array: Any, _index: Any, real: Any, imaginary: Any
) -> tuple[Any, Build]:
    """Put `LANES` complex numbers into a flat array, real and imaginary parts in turns.

    Parts of float64 are rounded where the array is float32.
    """

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        element = context.get_value_type(array.dtype)
        parts = list(arguments[2:])
        if array.dtype != real.dtype:
            vector = ir.VectorType(element, LANES)
            parts = [builder.fptrunc(part, vector) for part in parts]
        turns = [place for lane in range(LANES) for place in (lane, LANES + lane)]
        value = builder.shuffle_vector(*parts, _places(turns))
        both = ir.VectorType(element, 2 * LANES)
        start = _pointer(context, builder, arguments[0], array, arguments[1], both)
        builder.store(value, start, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, real, imaginary), build


@intrinsic
def spread(_typing: Any, number: Any) -> tuple[Any, Build]:
    """Return a row with the same number in every lane."""
    lanes = Lanes(number)

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _spread(context, builder, arguments[0], number, lanes)

    return lanes(number), build


@intrinsic
def wide(_typing: Any, row: Any) -> tuple[Any, Build]:
    """Return a row of float32 as float64."""
    lanes = Lanes(types.float64)

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fpext(arguments[0], context.get_value_type(lanes))

    return lanes(row), build


@intrinsic
def where_less(_typing: Any, a: Any, b: Any, yes: Any, no: Any) -> tuple[Any, Build]:
    """Return `yes` in the lanes where `a < b`, else `no`; `b`, `yes` and `no` may be numbers."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, y, first, second = (
            _spread(context, builder, value, kind, a)
            for value, kind in zip(arguments, signature.args, strict=True)
        )
        return builder.select(builder.fcmp_ordered("<", x, y, flags=FLAGS), first, second)

    return a(a, b, yes, no), build


@intrinsic
def any_less(_typing: Any, a: Any, b: Any) -> tuple[Any, Build]:
    """Return whether `a < b` in some lane."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        less = builder.fcmp_ordered("<", *arguments, flags=FLAGS)
        bits = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(less, bits), bits(0))

    return types.boolean(a, b), build


@intrinsic
def zipped(_typing: Any, a: Any, b: Any) -> tuple[Any, Build]:
    """Return the lanes of two rows in turns, as two rows."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        turns = [place for lane in range(LANES) for place in (lane, LANES + lane)]
        halves = [
            builder.shuffle_vector(*arguments, _places(half))
            for half in (turns[:LANES], turns[LANES:])
        ]
        return context.make_tuple(builder, signature.return_type, halves)

    return _pair(a)(a, b), build


def _arithmetic(operation: Callable[..., Any], instruction: str) -> None:
    """Teach the compiler an operation between rows, and between a row and a number."""

    @intrinsic
    def calculate(_typing: Any, a: Any, b: Any) -> tuple[Any, Build]:
        lanes = a if isinstance(a, Lanes) else b

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            x = _spread(context, builder, arguments[0], a, lanes)
            y = _spread(context, builder, arguments[1], b, lanes)
            return getattr(builder, instruction)(x, y, flags=FLAGS)

        return lanes(a, b), build

    @overload(operation, jit_options={"forceinline": True})
    def typed(a, b):  # type: ignore[no-untyped-def]
        if not (isinstance(a, Lanes) or isinstance(b, Lanes)):
            return None
        return lambda a, b: calculate(a, b)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.iadd, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")
