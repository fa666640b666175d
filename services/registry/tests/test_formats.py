"""Formats that a configuration's schema may ask for."""

import pytest
from isthmus.services.registry.domain.formats import FORMATS

GOOD = {
    "date": "2026-02-28",
    "date-time": "2026-02-28T23:59:59Z",
    "duration": "P1DT12H",
    "email": "a@b.example",
    "hostname": "a.example",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "json-pointer": "/a/0",
    "regex": "^a+$",
    "time": "23:59:59Z",
    "uri": "https://a.example/x",
    "uri-template": "https://a.example/{x}",
    "uuid": "9b2c7f0e-6d1d-4a5e-8f0a-3f6f0c2f8a11",
}
BAD = {
    "date": "2026-02-30",
    "date-time": "2026-02-28 23:59",
    "duration": "1:30",
    "email": "nobody",
    "hostname": "-a.example",
    "ipv4": "192.0.2.256",
    "ipv6": "2001:db8:::1",
    "json-pointer": "a/0",
    "regex": "(",
    "time": "25:00:00Z",
    "uri": "not a url",
    "uri-template": "https://a.example/{x",
    "uuid": "9b2c7f0e",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_format_tells_right_from_wrong(name: str) -> None:
    """What is of a format conforms to it, what is not does not, and other types are not its matter."""
    assert FORMATS.conforms(GOOD[name], name)
    assert not FORMATS.conforms(BAD[name], name)
    assert FORMATS.conforms(5, name)
