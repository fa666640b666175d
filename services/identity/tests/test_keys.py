"""API keys: their form, their digest, and what is refused."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience.faults import NotAuthenticated
from isthmus.services.identity.domain import Access, ApiKey, KeyRecord, ServiceAccount, mint, parse, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY_ID = "key_01k0000000000000000000000a"
PEPPER = bytes(range(32))
TEXT, DIGEST = mint(KEY_ID, PEPPER)
KEY = ApiKey("tnt_1", KEY_ID, "svc_1", "ci", DIGEST, NOW + timedelta(days=1), "svc_0", NOW)
HOLDER = ServiceAccount("tnt_1", "svc_1", "ci", "", ("auditor",), False, "svc_0", NOW, NOW)
RECORD = KeyRecord(KEY, HOLDER, Access(("auditor",), ()))

WITHOUT_EFFECT = {
    "expired": replace(RECORD, key=replace(KEY, expire_time=NOW)),
    "revoked": replace(RECORD, key=replace(KEY, revoke_time=NOW)),
    "disabled": replace(RECORD, holder=replace(HOLDER, is_disabled=True)),
    "of another key": replace(RECORD, key=replace(KEY, digest=mint(KEY_ID, PEPPER)[1])),
    "unknown": None,
}


def test_a_key_names_itself_and_carries_64_characters():
    """
    The middle part of a key is its id, so a key found somewhere can be revoked.
    """
    parsed = parse(TEXT)

    assert (parsed.api_key_id, len(parsed.secret)) == (KEY_ID, 64)


def test_the_right_key_is_accepted():
    """
    The digest kept of a key recognises it.
    """
    assert verify(parse(TEXT), RECORD, PEPPER, NOW) is RECORD


@pytest.mark.parametrize("record", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_keys_without_effect_get_one_answer(record):
    """
    Nobody learns from the answer whether a key exists, ended, or never was.
    """
    with pytest.raises(NotAuthenticated) as refused:
        verify(parse(TEXT), record, PEPPER, NOW)

    assert str(refused.value) == str(_refusal_of_nonsense())


def test_another_pepper_recognises_no_key():
    """
    A stolen table is worth nothing without the pepper.
    """
    with pytest.raises(NotAuthenticated):
        verify(parse(TEXT), RECORD, bytes(32), NOW)


@given(st.text() | st.from_regex(r"ist_key_[0-9a-z]{26}_[0-9a-zA-Z]{63,65}\n?", fullmatch=True))
def test_nothing_but_keys_is_parsed(text):
    """
    Whatever is sent instead of a key is refused as an unknown caller, or is a key.
    """
    with suppress(NotAuthenticated):
        parsed = parse(text)

        assert text == f"ist_{parsed.api_key_id}_{parsed.secret}"


def test_secrets_do_not_print():
    """
    Neither a parsed key nor a stored one shows its secret part.
    """
    assert TEXT[-64:] not in repr(parse(TEXT))
    assert repr(DIGEST) not in repr(RECORD)


def _refusal_of_nonsense() -> NotAuthenticated:
    with pytest.raises(NotAuthenticated) as refused:
        parse("nonsense")
    return refused.value
