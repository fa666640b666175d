"""Attempts of one tenant on what belongs to another one, made up from the descriptors.

Every request begins as one that a service accepts from the owner. Then chance puts what the owner has into
whatever field takes a text, adds and removes parts, and spoils some. The same seed makes the same requests.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from isthmus.testing.contract import Filler, Rpc

__all__ = ["Burglar", "Loot", "shares"]

_WORD = re.compile(r"[A-Za-z0-9]+(?:_[0-9a-hjkmnp-tv-z]{26})?")
_DEEPEST = 4
_OTHERS = ("", "*", "%", "hub", "a\tb", "../", "' or true --", "isthmus.v1.>", "x" * 300, "{}", "0")
_DISGUISES = (
    "{0}",
    " {0}",
    "../{0}",
    "{0}/../{1}",
    "{1}.{0}",
    "{0}%00",
    "{0}' or '1'='1",
    "{0},{1}",
    '{{"id": "{0}", "tenant_id": "{1}"}}',
    "name = '{0}'",
    "/{0}/{1}",
    "{0}*",
)
_NUMBERS = (0, 1, 1, 1, 2, 3, 50, 1000, -1, (1 << 31) - 1)


@dataclass(frozen=True)
class Loot:
    """What a tenant has that another one would like to have.

    Attributes:
        named: What it owns, by the names of the fields that name it; a thief may know these.
        kept: Ids and words of the owner that no thief is ever told, so that no answer to one may hold them.
    """

    named: Mapping[str, str]
    kept: frozenset[str]

    def told(self, texts: Iterable[str]) -> set[str]:
        """Name what of the owner's stands in texts, be it known to thieves or not."""
        words = {word for text in texts for word in _WORD.findall(text)}
        known = {word for value in self.named.values() for word in _WORD.findall(value)}
        return words & (self.kept | {word for word in known if len(word) > 15})


class Burglar:
    """Makes requests that try to reach what somebody else owns.

    Args:
        loot: What that is.
        good: Values by field name that make requests good enough to be looked at.
        seed: Decides everything else.
    """

    def __init__(self, loot: Loot, good: Mapping[str, str], seed: str) -> None:
        self._values = sorted(set(loot.named.values()))
        self._named = loot.named
        self._good = {**good, **loot.named}
        self._seed = seed

    def attempt(self, rpc: Rpc, number: int) -> tuple[list[Message], random.Random]:
        """Return the requests of one attempt, and what decides whatever else belongs to it."""
        chance = random.Random(f"{self._seed}:{rpc.path}:{number}")  # noqa: S311 -- repeatable, not secret
        fresh = f"thief{chance.getrandbits(40):010x}"
        good = {**self._good, "name": fresh, "record_id": fresh, "sample_id": fresh}
        requests = Filler(good).requests(rpc)
        for request in requests:
            self._alter(request, chance, chance.choice((0.0, 0.1, 0.3, 0.8)), 0)
        return requests, chance

    def _alter(self, message: Message, chance: random.Random, share: float, depth: int) -> None:
        fields: Sequence[Any] = message.DESCRIPTOR.fields
        for field in fields:
            if field.message_type is not None:
                self._alter_part(message, field, chance, share, depth)
            elif chance.random() < share:
                self._set(message, field, chance)

    def _alter_part(
        self, message: Message, field: Any, chance: random.Random, share: float, depth: int
    ) -> None:
        value: Any = getattr(message, field.name)
        if field.message_type.GetOptions().map_entry:
            self._enter(value, field, chance, share)
        elif not field.is_repeated:
            if depth < _DEEPEST and (message.HasField(field.name) or chance.random() < share / 2):
                value.SetInParent()
                self._alter(value, chance, share, depth + 1)
            if chance.random() < share / 4:
                message.ClearField(field.name)
        elif depth < _DEEPEST:
            if chance.random() < share / 2:
                value.add()
            for part in value:
                self._alter(part, chance, share, depth + 1)

    def _enter(self, entries: Any, field: Any, chance: random.Random, share: float) -> None:
        kinds = [inner.type for inner in field.message_type.fields]
        if chance.random() < share and kinds == [FieldDescriptor.TYPE_STRING] * 2:
            entries[self._text(field.name, chance)] = self._text(field.name, chance)

    def _set(self, message: Message, field: FieldDescriptor, chance: random.Random) -> None:
        if field.is_repeated:
            values = getattr(message, field.name)
            if chance.random() < 0.3:
                del values[:]
            values.extend(self._value(field, chance) for _ in range(chance.choice((1, 1, 3))))
        else:
            setattr(message, field.name, self._value(field, chance))

    def _value(self, field: FieldDescriptor, chance: random.Random) -> Any:
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field.name, chance)
        if field.type == FieldDescriptor.TYPE_BYTES:
            names = chance.sample(sorted(self._named), 3)
            return json.dumps({name: self._named[name] for name in names}).encode()
        if field.enum_type is not None:
            return chance.choice(field.enum_type.values).number
        if field.type == FieldDescriptor.TYPE_BOOL:
            return chance.random() < 0.5
        if field.cpp_type in {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}:
            return abs(chance.choice(_NUMBERS))
        return chance.choice(_NUMBERS)

    def _text(self, name: str, chance: random.Random) -> str:
        kind = chance.random()
        if kind < 0.3 and name in self._named:
            return self._named[name]
        if kind < 0.7:
            return chance.choice(self._values)
        if kind < 0.85:
            return chance.choice(_DISGUISES).format(chance.choice(self._values), self._named["tenant_id"])
        return chance.choice(_OTHERS)


def shares(rpcs: Sequence[Rpc], count: int, seed: str) -> Iterator[tuple[Rpc, int]]:
    """Share attempts out among RPCs, the same number to each as far as it goes, in an order by chance."""
    numbered = [(rpcs[place % len(rpcs)], place // len(rpcs)) for place in range(count)]
    random.Random(seed).shuffle(numbered)  # noqa: S311 -- repeatable, not secret
    yield from numbered
