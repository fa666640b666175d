"""The contract as a whole."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("surface", Path(__file__).with_name("surface.py"))
surface = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(surface)

METHODS = [
    method
    for file in surface.files()
    for service in file.services_by_name.values()
    for method in service.methods
]
MESSAGES = [message for file in surface.files() for message in file.message_types_by_name.values()]
SOURCES = {path: path.read_text() for path in sorted((ROOT / "proto").rglob("*.proto"))}
SECRET_NAMES = re.compile(r"(^|_)(api_key|password|secret|bearer_token|private_key|credential)$")


def test_surface_is_the_golden_list():
    """
    A change of the contract shows in review as a change of proto/surface.txt.
    """
    golden = (ROOT / "proto" / "surface.txt").read_text()

    assert surface.surface() == golden, "run `make surface` and commit the difference"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_declares_its_permission(method):
    """
    A server refuses to start with an RPC that nobody decided about.
    """
    permission = method.GetOptions().Extensions[surface.permission_pb2.permission]

    assert re.fullmatch(r"public|authenticated|[a-z_]+\.[a-z_]+\.[a-z_]+", permission)


def test_no_two_rpcs_share_a_request_or_an_answer():
    """
    Own request and own answer, so that either can grow alone.
    """
    names = [kind.full_name for method in METHODS for kind in (method.input_type, method.output_type)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS if m.name.startswith("List") or m.name in {"QueryRecords", "Discover"}],
    ids=lambda method: method.full_name,
)
def test_every_list_is_paged(method):
    """
    A list without pages grows until it breaks.
    """
    asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name

    assert {"page_size", "page_token"} <= set(asked)
    assert "next_page_token" in answered


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS if re.match(r"(Create|Start|Publish|Requeue|Invoke)", m.name)],
    ids=lambda method: method.full_name,
)
def test_whatever_creates_or_starts_takes_a_request_id(method):
    """
    A caller who lost the answer can ask again; of several things each is asked for under its own id.
    """
    asked = method.input_type
    several = [one.message_type for one in asked.fields if one.is_repeated and one.message_type]

    assert any("request_id" in one.fields_by_name for one in (asked, *several))


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS if re.match(r"(Update|RollBack)", m.name)],
    ids=lambda method: method.full_name,
)
def test_every_update_takes_an_etag(method):
    """
    Two people who change the same thing do not overwrite one another.
    """
    assert "etag" in method.input_type.fields_by_name


def test_fields_that_may_hold_secrets_are_marked():
    """
    What is marked `debug_redact` is left out of logs.
    """
    unmarked = [
        field.full_name
        for message in MESSAGES
        for field in message.fields
        if SECRET_NAMES.search(field.name)
        and field.type != field.TYPE_BOOL
        and not field.GetOptions().debug_redact
    ]

    assert unmarked == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.parent.name + "/" + path.name)
def test_every_rpc_lists_its_errors_with_reason_and_remedy(path):
    """
    An error table is part of each RPC's comment.
    """
    for comment, name in re.findall(r"((?:  //[^\n]*\n)+)  rpc (\w+)\(", SOURCES[path]):
        errors = comment.partition("// Errors:")[2].strip()

        assert errors, f"{name} has no errors"
        assert errors.startswith("none") or re.search(r"// +[A-Z_]+ [A-Z_]+: \S", "// " + errors), name


def test_no_package_breaks_the_namespace():
    """
    One stray `isthmus/__init__.py` hides every other package of the namespace.
    """
    shared = ("isthmus", "isthmus/services", "isthmus/connectors")
    strays = [path for name in shared for path in ROOT.glob(f"[a-z]*/**/src/{name}/__init__.py")]

    assert strays == []
