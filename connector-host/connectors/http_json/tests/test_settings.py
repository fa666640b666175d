"""What the http-json connector may be told."""

import json

import pytest
from isthmus.connectors.http_json import HttpJson
from isthmus.sdk import (
    ConfigurationFailure,
)
from isthmus.sdk.runtime import (
    Session,
    spec_of,
)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"rate": "fast"}, "rate"),
        ({"streams": []}, "streams"),
        ({"streams": [{"name": "a", "path": "/a", "pagng": {}}]}, "streams[0].pagng"),
        ({"streams": [{"name": "a", "path": "/a", "paging": {"kind": "odd"}}]}, "streams[0].paging"),
        ({"streams": [{"name": "a"}]}, "streams[0]"),
    ],
)
def test_bad_settings_name_the_field(change, path):
    """
    Misspelt, missing and impossible settings are found before anything is called.
    """
    good = {"base_url": "http://x", "streams": [{"name": "a", "path": "/a"}]}

    with pytest.raises(ConfigurationFailure) as raised:
        Session(HttpJson, {**good, **change})

    assert [violation.path for violation in raised.value.violations] == [path]


def test_describes_itself():
    """
    The form knows every kind of paging.
    """
    spec = spec_of(HttpJson)

    assert spec.connector_id == "http-json"
    assert "next_link" in json.dumps(spec.configuration_schema)
