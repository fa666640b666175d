"""Hashes: to tell whether two values are the same, and for stable ids. None of them keeps a secret.

There is no keyed hash (HMAC): its key would stand in the mapping, where everybody may read it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any

from isthmus.mapper.functions.registry import Step, function
from isthmus.mapper.values import clean, is_unicode, text_of

_AREA = "hashing"


def _bytes(value: Any) -> bytes:
    text = text_of(value)
    is_unicode(text)
    return text.encode()


def _hexadecimal(make: Callable[[bytes], Any]) -> Step:
    return lambda value: make(_bytes(value)).hexdigest()


@function(
    "sha256",
    area=_AREA,
    takes="string",
    returns="string",
    cel="hash.sha256",
    example=("sha256", "", hashlib.sha256(b"").hexdigest()),
)
def sha256() -> Step:
    """The SHA-256 of the text's UTF-8 bytes in hexadecimal, for stable ids."""
    return _hexadecimal(hashlib.sha256)


@function(
    "sha512",
    area=_AREA,
    takes="string",
    returns="string",
    cel="hash.sha512",
    example=("sha512", "abc", hashlib.sha512(b"abc").hexdigest()),
)
def sha512() -> Step:
    """The SHA-512 of the text's UTF-8 bytes in hexadecimal."""
    return _hexadecimal(hashlib.sha512)


@function(
    "sha1",
    area=_AREA,
    takes="string",
    returns="string",
    cel="hash.sha1",
    example=("sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
)
def sha1() -> Step:
    """The SHA-1 of the text's UTF-8 bytes, only to match what another system wrote: it is broken."""
    return _hexadecimal(lambda held: hashlib.sha1(held, usedforsecurity=False))


@function(
    "md5",
    area=_AREA,
    takes="string",
    returns="string",
    cel="hash.md5",
    example=("md5", "abc", "900150983cd24fb0d6963f7d28e17f72"),
)
def md5() -> Step:
    """The MD5 of the text's UTF-8 bytes, only to match what another system wrote: it is broken."""
    return _hexadecimal(lambda held: hashlib.md5(held, usedforsecurity=False))


@function(
    "crc32",
    area=_AREA,
    takes="string",
    returns="integer",
    cel="hash.crc32",
    example=("crc32", "123456789", 3421780262),
)
def crc32() -> Step:
    """The CRC-32 of the text's UTF-8 bytes, for sharding and for matching; many texts share one."""
    return lambda value: zlib.crc32(_bytes(value))


@function(
    "content_hash",
    area=_AREA,
    returns="string",
    cel="hash.content",
    example=(
        "content_hash",
        {"b": 1, "a": [True]},
        hashlib.sha256(b'{"a":[true],"b":1}').hexdigest(),
    ),
)
def content_hash() -> Step:
    """The SHA-256 of any value as JSON with sorted members, so that their order does not matter."""

    def step(value: Any) -> str:
        clean(value, [0])
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    return step
