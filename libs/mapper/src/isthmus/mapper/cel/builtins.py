"""The functions of the language: what is called for each, and what is known of its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.cel import conversions, maths, operators, optionals, texts
from isthmus.mapper.cel.formatting import formatted
from isthmus.mapper.cel.times import PARTS


@dataclass(frozen=True, slots=True)
class Builtin:
    """One function for one number of operands, the target first.

    Attributes:
        call: Takes the operands and checks their types.
        kind: Type of every result, or `dyn`.
        is_heavy: Whether it takes longer the larger its operands are.
        grows: Whether its result may be larger than its operands together.
    """

    call: Callable[..., Any]
    kind: str = "dyn"
    is_heavy: bool = False
    grows: bool = False


_Table = dict[tuple[str, int], Builtin]


def _text_functions() -> _Table:
    table: _Table = {}
    for name, call, counts, kind in (
        ("contains", texts.contains, (2,), "bool"),
        ("startsWith", texts.starts_with, (2,), "bool"),
        ("endsWith", texts.ends_with, (2,), "bool"),
        ("matches", texts.matches, (2,), "bool"),
        ("charAt", texts.char_at, (2,), "string"),
        ("indexOf", texts.index_of, (2, 3), "int"),
        ("lastIndexOf", texts.last_index_of, (2, 3), "int"),
        ("join", texts.join, (1, 2), "string"),
        ("lowerAscii", texts.lower_ascii, (1,), "string"),
        ("upperAscii", texts.upper_ascii, (1,), "string"),
        ("replace", texts.replace, (3, 4), "string"),
        ("split", texts.split, (2, 3), "list"),
        ("substring", texts.substring, (2, 3), "string"),
        ("trim", texts.trim, (1,), "string"),
        ("reverse", texts.reverse, (1,), "string"),
        ("strings.quote", texts.quote, (1,), "string"),
        ("format", formatted, (2,), "string"),
        ("base64.encode", texts.encode, (1,), "string"),
        ("base64.decode", texts.decode, (1,), "bytes"),
    ):
        for count in counts:
            grows = name in {"join", "replace"}
            table[name, count] = Builtin(call, kind, is_heavy=True, grows=grows)
    return table


def _other_functions() -> _Table:
    table: _Table = {}
    one: tuple[tuple[str, Callable[..., Any], str], ...] = (
        ("size", operators.size, "int"),
        ("type", conversions.type_of, "type"),
        ("dyn", conversions.same, "dyn"),
        ("bool", conversions.to_bool, "bool"),
        ("int", conversions.to_int, "int"),
        ("uint", conversions.to_uint, "uint"),
        ("double", conversions.to_double, "double"),
        ("timestamp", conversions.to_timestamp, "timestamp"),
        ("duration", conversions.to_duration, "duration"),
        ("-_", operators.negate, "dyn"),
        ("math.ceil", maths.ceil, "double"),
        ("math.floor", maths.floor, "double"),
        ("math.round", maths.round_half_away, "double"),
        ("math.trunc", maths.trunc, "double"),
        ("math.abs", maths.absolute, "dyn"),
        ("math.sign", maths.sign, "dyn"),
        ("math.sqrt", maths.square_root, "double"),
        ("math.isNaN", maths.is_nan, "bool"),
        ("math.isInf", maths.is_inf, "bool"),
        ("math.isFinite", maths.is_finite, "bool"),
        ("math.bitNot", maths.bit_not, "dyn"),
        ("optional.of", optionals.of, "optional"),
        ("optional.ofNonZeroValue", optionals.of_non_zero, "optional"),
        ("hasValue", optionals.has_value, "bool"),
        ("value", optionals.value_of, "dyn"),
    )
    two: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("math.bitAnd", maths.bit_and),
        ("math.bitOr", maths.bit_or),
        ("math.bitXor", maths.bit_xor),
        ("math.bitShiftLeft", maths.shift_left),
        ("math.bitShiftRight", maths.shift_right),
        ("_/_", operators.divide),
        ("_%_", operators.modulo),
        ("orValue", optionals.or_value),
        ("or", optionals.or_else),
        ("_?._", optionals.member),
        ("_[?_]", optionals.element),
        ("_[_]", optionals.at),
    )
    for name, call, kind in one:
        table[name, 1] = Builtin(call, kind)
    for name, call in two:
        table[name, 2] = Builtin(call, "optional" if name in {"or", "_?._", "_[?_]"} else "dyn")
    for name, part in PARTS.items():
        table[name, 1] = table[name, 2] = Builtin(part, "int")
    for count in range(1, 32):
        table["math.@max", count] = Builtin(maths.greatest)
        table["math.@min", count] = Builtin(maths.least)
    table["optional.none", 0] = Builtin(optionals.none, "optional")
    table["string", 1] = Builtin(conversions.to_text, "string", is_heavy=True)
    table["bytes", 1] = Builtin(conversions.to_bytes, "bytes", is_heavy=True)
    return table


BUILTINS: _Table = _text_functions() | _other_functions()
NAMESPACES = frozenset(name.partition(".")[0] for name, _ in BUILTINS if "." in name[1:-1])
