"""The real NIST 800-53 LOW catalogue, counted independently, and small ones."""

import json
import re
import shutil
from pathlib import Path

import pytest
from isthmus.connectors.nist_oscal import NistOscal
from isthmus.sdk import ConfigurationFailure, DataFailure
from isthmus.sdk.runtime import ReadMode, Session
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.shared import shared


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def low(root):
    """The real catalogue, below the allowed folder."""
    real = shared("data", "oscal", "nist-800-53-rev5-low-catalog.json")
    return Path(shutil.copy(real, root / "low.json"))


async def read(stream="controls", position=None, **settings):
    async with Session(NistOscal, settings) as session:
        reading = await session.read(stream, mode=ReadMode.INCREMENTAL, position=position)
        return [page async for page in reading]


def records(pages):
    return {record["id"]: record for page in pages for record in page.records}


def small(root, **content):
    (root / "c.json").write_text(
        json.dumps({"catalog": {"metadata": {"title": "t", "version": "1"}, **content}})
    )


async def test_every_control_of_the_real_catalogue_arrives(low):
    """
    Controls and enhancements are counted by their text, independently of the connector.
    """
    identifiers = re.findall(r'"id"\s*:\s*"([a-z]{2}-\d+(?:\.\d+)?)"', low.read_text())

    controls = records(await read(path="low.json"))

    assert len(identifiers) == 149
    assert set(controls) == set(identifiers)
    assert sum(control["kind"] == "enhancement" for control in controls.values()) == 18


async def test_controls_that_cannot_be_read_are_put_aside(low):
    """
    An enhancement costs itself and a control itself with its enhancements; the others arrive.
    """
    whole = records(await read(path="low.json"))
    raw = re.sub(rb'"id"(\s*:\s*)"ia-5\.1"', rb'"id"\1"\\ud800"', low.read_bytes(), count=1)
    low.write_bytes(re.sub(rb'"id"(\s*:\s*)"ac-1"', b'"id"\\1"\xff"', raw, count=1))

    pages = await read(path="low.json")

    aside = [one for page in pages for one in page.rejected]
    assert set(whole) - set(records(pages)) == {"ia-5.1", "ac-1"}
    assert {(one.reason, one.path) for one in aside} == {("RECORD_NOT_JSON", "id"), ("RECORD_NOT_UTF8", "id")}
    assert all(one.record in low.read_bytes() for one in aside)


async def test_nesting_is_resolved(low):
    """
    Family, parent, parameters and parts of one control and one enhancement.
    """
    controls = records(await read(path="low.json"))
    policy, change = controls["ac-1"], controls["ia-5.1"]

    assert (policy["label"], policy["family"]) == ("AC-1", {"id": "ac", "title": "Access Control"})
    assert (change["label"], change["kind"], change["parent_id"]) == ("IA-5(1)", "enhancement", "ia-5")
    assert change["id"] in controls["ia-5"]["enhancements"]
    assert [part["depth"] for part in policy["parts"][:4]] == [0, 1, 2, 3]
    assert policy["parts"][2]["parent_id"] == policy["parts"][1]["id"] == "ac-1_smt.a"
    assert len(policy["parameters"]) == 9
    assert "ia-1" in policy["related"]
    assert all("SP 800" in text or "OMB" in text for text in policy["references"][:2])


async def test_parameters_read_as_words(low):
    """
    No placeholder is left anywhere, and choices are spelt out.
    """
    controls = records(await read(path="low.json"))

    assert "{{" not in json.dumps(controls)
    assert controls["ac-1"]["statement"].splitlines()[:2] == [
        "a. Develop, document, and disseminate to [Assignment: organization-defined personnel or roles]:",
        "  1. [Selection (one-or-more): organization-level; mission/business process-level; system-level]"
        " access control policy that:",
    ]


async def test_groups_count_their_controls(low):
    """
    Eighteen families hold all 149 controls.
    """
    groups = records(await read("groups", path="low.json"))

    assert groups["ac"]["title"] == "Access Control"
    assert sum(group["control_count"] for group in groups.values()) == 149


async def test_unchanged_catalogue_gives_nothing(low):
    """
    The content is known by its digest.
    """
    first = await read(path="low.json")

    assert records(await read(path="low.json", position=first[-1].position)) == {}


async def test_catalogue_at_an_address_uses_the_entity_tag(root):
    """
    304 costs one request and gives no record.
    """
    body = json.dumps({"catalog": {"controls": [{"id": "x-1", "title": "X"}]}})
    async with HttpServer() as server:
        server.on(
            "/c",
            lambda r: 304 if "if-none-match" in r.headers else Answer(body=body, headers={"etag": '"1"'}),
        )
        first = await read(url=f"{server.url}/c")
        second = await read(url=f"{server.url}/c", position=first[-1].position)

    assert (list(records(first)), records(second)) == (["x-1"], {})


async def test_parameters_that_name_each_other_end(root):
    """
    A circle of parameters does not hang; values win over labels; unknown ones keep their id.
    """
    params = [
        {"id": "a", "label": "{{ insert: param, b }}"},
        {"id": "b", "select": {"choice": ["{{ insert: param, a }}", "x"]}},
        {"id": "v", "label": "no", "values": ["30 days"]},
    ]
    prose = "{{ insert: param, a }} | {{insert: param,v}} | {{ insert: param, gone }}"
    small(root, controls=[{"id": "x", "params": params, "parts": [{"name": "statement", "prose": prose}]}])

    statement = records(await read(path="c.json"))["x"]["statement"]

    assert statement == "[Assignment: [Selection: [a]; x]] | 30 days | [gone]"


async def test_groups_in_groups(root):
    """
    The family is the nearest group that says so; the path has all of them.
    """
    inner = {
        "id": "in",
        "title": "In",
        "class": "section",
        "controls": [{"id": "x", "controls": [{"id": "x.1"}]}],
    }
    small(root, groups=[{"id": "out", "title": "Out", "class": "family", "groups": [inner]}])

    enhancement = records(await read(path="c.json"))["x.1"]
    groups = records(await read("groups", path="c.json"))

    assert (enhancement["family"]["id"], enhancement["group_ids"]) == ("out", ["out", "in"])
    assert (groups["out"]["control_count"], groups["in"]["parent_id"]) == (2, "out")


async def test_repeated_id_is_rejected(root):
    """
    The second would overwrite the first.
    """
    small(root, controls=[{"id": "x", "title": "1"}, {"id": "x", "title": "2"}])

    pages = await read(path="c.json")

    assert records(pages)["x"]["title"] == "1"
    assert [reject.reason for page in pages for reject in page.rejected] == ["ID_TWICE"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"profile": {}}, "resolve it into a catalogue"),
        ({"assessment-results": {}}, "OSCAL assessment-results"),
        ([], "no `catalog` at its top"),
    ],
)
async def test_other_documents_are_named(root, document, words):
    """
    The message says what the document is.
    """
    (root / "c.json").write_text(json.dumps(document))

    with pytest.raises(DataFailure, match=words):
        await read(path="c.json")


@pytest.mark.parametrize("settings", [{}, {"url": "http://x", "path": "y"}])
def test_one_place_is_needed(settings):
    """
    Neither and both are bad settings.
    """
    with pytest.raises(ConfigurationFailure):
        Session(NistOscal, settings)
