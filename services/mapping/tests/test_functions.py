"""The function library over gRPC: listed, searched, and with what plug-ins bring."""

import json
import sys

import pytest
from isthmus.mapper.functions import FUNCTIONS, Library, plugins
from isthmus.mapping.v1 import functions_pb2 as pb
from isthmus.mapping.v1 import mapping_pb2
from isthmus.mapping.v1.functions_pb2_grpc import MappingFunctionsServiceStub
from isthmus.resilience.faults import FixRequest

LIBRARY = Library()


@LIBRARY.function(
    "shout", area="text", takes="string", returns="string", cel="shout", example=("shout", "a", "A!")
)
def shout():
    """Says it aloud."""
    return lambda value: f"{value.upper()}!"


@pytest.fixture
def library(service, tenant):
    """The library, called as a service account of the tenant."""
    return MappingFunctionsServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A plug-in that works and one that does not."""
    folder = tmp_path / "bring-2.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: bring\nVersion: 2.1.0\n")
    lines = (f"[{plugins.GROUP}]", "loud = bring_loud:LIBRARY", "torn = bring_no_such_module:LIBRARY")
    (folder / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.setitem(sys.modules, "bring_loud", sys.modules[__name__])
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.forget()
    yield
    monkeypatch.undo()
    plugins.forget()


async def test_the_library_is_listed_page_by_page(library):
    """
    Pages together hold every function once, those of one area together.
    """
    found, token = [], ""
    while True:
        request = pb.ListFunctionsRequest(page_size=60, page_token=token)
        answer = await library.ListFunctions(request)
        found += answer.functions
        token = answer.next_page_token
        if not token:
            break

    assert sorted(function.name for function in found) == sorted(FUNCTIONS)
    areas = [function.area for function in found]
    assert len(dict.fromkeys(areas)) == sum(a != b for a, b in zip(areas, [*areas[1:], ""], strict=True))


async def test_a_function_is_found_by_words_and_told_whole(library):
    """
    Every word has to occur somewhere in what is told of a function, in any case.
    """
    (found,) = (
        await library.ListFunctions(pb.ListFunctionsRequest(search="CIDR lies", area="network"))
    ).functions

    assert found.name == "in_cidr"
    assert found.expression == "net.inCidr(string, networks: string|list) → boolean"
    assert [(one.name, one.kind, one.optional) for one in found.parameters] == [("networks", "texts", False)]
    assert json.loads(found.examples[0].step) == {"in_cidr": "10.0.0.0/8"}
    assert found.examples[0].expression == "net.inCidr('10.20.30.40', '10.0.0.0/8')"
    assert (found.since, found.plugin) == ("0.1", "")


async def test_a_token_of_another_list_is_refused(library, fault_of):
    """
    A page token is that of this list and this search.
    """
    first = await library.ListFunctions(pb.ListFunctionsRequest(page_size=1, area="network"))
    other = pb.ListFunctionsRequest(page_size=1, area="cvss", page_token=first.next_page_token)

    fault = await fault_of(library.ListFunctions(other))

    assert (type(fault), fault.reason) == (FixRequest, "PAGE_TOKEN_INVALID")


async def test_plugins_are_listed_with_what_they_bring_or_why_not(library, brought):
    """
    Functions of plug-ins stand behind those of the product; a broken plug-in says why.
    """
    answer = await library.ListFunctions(pb.ListFunctionsRequest(search="aloud"))

    assert [(one.name, one.plugin) for one in answer.functions] == [("loud.shout", "loud")]
    assert [(one.name, one.package, one.version) for one in answer.plugins] == [
        ("loud", "bring", "2.1.0"),
        ("torn", "bring", "2.1.0"),
    ]
    assert "bring_no_such_module" in answer.plugins[1].problem


@pytest.mark.parametrize(
    "field",
    [
        {"target": "a", "source": "a", "steps": ["loud.shout"]},
        {"target": "a", "expression": "loud.shout(record.a)"},
    ],
    ids=["step", "expression"],
)
async def test_a_plan_names_the_plugins_it_needs(mappings, create, brought, field):
    """
    Whoever gets a definition to run learns which plug-ins it was compiled with.
    """
    mapping = await create(mappings, fields=json.dumps([field]))
    plain = await create(mappings, name="plain")

    plan = await mappings.GetPlan(mapping_pb2.GetPlanRequest(mapping_id=mapping.mapping_id))
    other = await mappings.GetPlan(mapping_pb2.GetPlanRequest(mapping_id=plain.mapping_id))

    assert (dict(plan.plugins), dict(other.plugins)) == ({"loud": "2.1.0"}, {})
