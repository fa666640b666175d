"""Spoils requests on their way: bytes that are no message, or another one than their sender meant."""

import random
from collections.abc import Callable, Sequence

from google.protobuf.message import Message
from isthmus.testing.malformed import Spoiler

__all__ = ["ODD_METADATA", "Mutator"]

_LENGTH_DELIMITED = 2
_LARGE = 200_000
_DEEP = 20_000
_MOST_MESSAGES = 2000
_ODD_TEXTS = (
    b"\xff\xfe\xfd",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x00",
    b"a\x00b",
    "\u202e\u2066\u200b\u200d\ufeff".encode(),
    "\ud7ff\ue000\uffff\U0010ffff".encode(),
    "a\u0300".encode() * 500,
    b"\x1b]0;x\x07",
    b"\r\n\r\n",
)
ODD_METADATA: tuple[tuple[str, str], ...] = (
    ("isthmus-correlation-id", "x" * 1000),
    ("isthmus-correlation-id", "'; drop table outbox; --"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-00"),
    ("traceparent", "ff" * 500),
    ("isthmus-tenant", "*"),
    ("isthmus-tenant", "tnt_' or '1'='1"),
    ("isthmus-tenant", ""),
    ("grpc-accept-encoding", "identity,nonsense"),
    ("x-" + "y" * 100, "z" * 8000),
)
"""What calls carry besides their identity that means nothing, or nothing good."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


class Mutator:
    """Makes bytes of requests that are not what they should be; the same seed makes the same ones.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, not secret
        self._spoiler = Spoiler(seed)
        self._ways: tuple[Callable[[Message, bytes], bytes], ...] = (
            self._cut,
            self._flipped,
            self._filled_in,
            self._lying,
            self._nested,
            self._huge_number,
            self._odd_text,
            self._of_another_kind,
            self._unknown,
            self._repeated,
            self._noise,
        )

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What the call carries besides: mostly nothing."""
        return [self._random.choice(ODD_METADATA)] if self._random.random() < 0.1 else []

    def one(self, request: Message) -> Message | bytes:
        """Spoil values of a request, or its bytes, or both."""
        kind = self._random.random()
        if kind < 0.6:
            self._spoiler.spoil(request)
        if kind < 0.4:
            return request
        data = request.SerializeToString()
        for _ in range(self._random.choice((1, 1, 2, 4))):
            data = self._random.choice(self._ways)(request, data)
        return data

    def stream(self, requests: Sequence[Message]) -> list[Message | bytes]:
        """Spoil a stream: some of its messages, their order, their number."""
        sent = [self.one(one) if self._random.random() < 0.5 else one for one in requests]
        kind = self._random.random()
        if kind < 0.2:
            self._random.shuffle(sent)
        elif kind < 0.3:
            sent = sent[: self._random.randrange(len(sent))]
        elif kind < 0.4:
            sent = [one for one in sent for _ in range(3)]
        elif kind < 0.5:
            sent = [*sent, *([self._random.choice(sent)] * _MOST_MESSAGES)]
        return sent

    def _place(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _number(self, request: Message) -> int:
        numbers: list[int] = [field.number for field in request.DESCRIPTOR.fields]
        return self._random.choice(numbers or [1])

    def _cut(self, _request: Message, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _flipped(self, _request: Message, data: bytes) -> bytes:
        changed = bytearray(data or b"\0")
        for _ in range(self._random.choice((1, 2, 8))):
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _filled_in(self, _request: Message, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.randbytes(self._random.choice((1, 7, 300))) + data[place:]

    def _lying(self, request: Message, data: bytes) -> bytes:
        length = self._random.choice((1, len(data) + 1, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 63) + 5))
        return data + _varint(self._number(request) << 3 | _LENGTH_DELIMITED) + _varint(length) + b"lies"

    def _nested(self, request: Message, data: bytes) -> bytes:
        """Put groups into groups, or messages into messages, more deeply than anybody should follow."""
        number = self._number(request)
        if self._random.random() < 0.5:
            return data + _varint(number << 3 | 3) * _DEEP
        inner = b""
        for _ in range(self._random.choice((90, 110, 2000))):
            inner = _field(self._random.choice((number, 1, 2, 5)), inner)
        return data + inner

    def _huge_number(self, request: Message, data: bytes) -> bytes:
        return (
            data + _varint(self._number(request) << 3) + b"\xff" * self._random.choice((9, 10, 11)) + b"\x01"
        )

    def _odd_text(self, request: Message, data: bytes) -> bytes:
        """Let a text begin with what is none, or replace one that is there."""
        odd = self._random.choice(_ODD_TEXTS)
        place = self._place(data)
        if self._random.random() < 0.5 or len(data) < place + len(odd):
            return data + _field(self._number(request), odd)
        return data[:place] + odd + data[place + len(odd) :]

    def _of_another_kind(self, request: Message, data: bytes) -> bytes:
        tag = _varint(self._number(request) << 3 | self._random.choice((0, 1, 5, 6, 7)))
        return data + tag + self._random.randbytes(8)

    def _unknown(self, _request: Message, data: bytes) -> bytes:
        number = self._random.choice((999, 19_000, (1 << 29) - 1, 0))
        return data + _field(number, self._random.randbytes(self._random.choice((0, 10, _LARGE))))

    def _repeated(self, _request: Message, data: bytes) -> bytes:
        return data * self._random.choice((2, 2, 50))

    def _noise(self, _request: Message, _data: bytes) -> bytes:
        return self._random.randbytes(self._random.choice((0, 1, 16, 5000)))
