"""Packages bring functions, such as that of docs/functions.md, and are missed where they are missing."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from isthmus.mapper import MappingInvalid, compile_mapping
from isthmus.mapper.functions import plugins
from isthmus.mapper.trying import problems

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PAGE = Path(__file__).parents[3] / "docs" / "functions.md"
SOURCE = next(
    block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "LIBRARY =" in block
)


class Packages:
    """A folder of packages that bring functions, of which Python knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, source: str, version: str = "1.2.0", package: str = "") -> None:
        """Installs a package that brings the plug-in of that name."""
        package = package or f"{name}_functions"
        (self.folder / f"{package}.py").write_text(source)
        information = self.folder / f"{package}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (information / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {package}:LIBRARY\n")
        plugins.forget()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """No package yet; none stays behind."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Packages(tmp_path)
    monkeypatch.undo()
    plugins.forget()


def mapped(field: dict[str, Any], record: dict[str, Any]) -> Any:
    """What a field becomes, and what its mapping needs."""
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [{"target": "out", **field}]})
    return plan.apply(record, now=NOW), plan.plugins


def violations(field: dict[str, Any]) -> list[tuple[str, str]]:
    """Why a field cannot be compiled."""
    with pytest.raises(MappingInvalid) as invalid:
        mapped(field, {})
    return [(one.reason, one.message) for one in invalid.value.violations]


def test_a_package_brings_a_step_and_a_function(packages):
    """
    The functions of a plug-in are called by its name in both forms, and the plan says what it needs.
    """
    packages.add("acme1", SOURCE)
    record = {"name": "ann b. lee"}

    as_step = mapped({"source": "name", "steps": [{"acme1.initials": 2}]}, record)
    in_expression = mapped({"expression": "acme1.initials(record.name) + '!'"}, record)

    assert as_step == ({"out": "AB"}, {"acme1": "1.2.0"})
    assert in_expression == ({"out": "ABL!"}, {"acme1": "1.2.0"})
    assert mapped({"source": "name", "steps": ["upper"]}, record)[1] == {}
    (found,) = plugins.installed()
    assert (found.name, found.package, found.problem) == ("acme1", "acme1_functions", "")
    assert found.functions["acme1.initials"].example.step == {"acme1.initials": 2}
    assert problems(found.functions.values()) == []


def test_what_a_plugin_lacks_is_a_mistake_with_a_hint(packages):
    """
    Names and types of a plug-in's functions are checked when the mapping is compiled.
    """
    packages.add("acme2", SOURCE)

    assert violations({"source": "a", "steps": ["acme2.initial"]}) == [
        ("FUNCTION_UNKNOWN", "There is no function 'acme2.initial'; did you mean 'acme2.initials'?")
    ]
    assert violations({"source": "a", "steps": [{"acme2.initials": 99}]})[0][0] == "ARGUMENT_INVALID"
    assert "no matching overload" in violations({"expression": "acme2.initials(1)"})[0][1]


def test_a_missing_plugin_is_named(packages):
    """
    Where a plug-in is not installed, its functions are refused by its name and not guessed.
    """
    ((reason, message),) = violations({"source": "a", "steps": ["acme3.initials"]})

    assert reason == "PLUGIN_MISSING"
    assert "'acme3'" in message
    assert violations({"expression": "acme3.initials(record.a)"})[0][0] == "EXPRESSION_INVALID"


@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        ("broken1", "import no_such_module_of_acme", "no_such_module_of_acme"),
        ("broken2", "LIBRARY = 1", "no isthmus.mapper.functions.Library"),
        ("broken3", "def (", "SyntaxError"),
        ("net", SOURCE, "cannot be called 'net'"),
    ],
    ids=["import", "type", "syntax", "name"],
)
def test_a_broken_plugin_is_reported_and_harms_nobody_else(packages, name, source, told):
    """
    A plug-in that cannot be imported says why to those who use it; other mappings know nothing of it.
    """
    packages.add(name, source, package=f"{name}_package")

    ((reason, message),) = violations({"source": "a", "steps": [f"{name}.initials"]})
    assert reason == "PLUGIN_BROKEN"
    assert told in message
    assert [one.name for one in plugins.installed() if told in one.problem] == [name]
    assert mapped({"source": "a", "steps": ["upper"]}, {"a": "x"})[0] == {"out": "X"}
    assert mapped({"expression": "text.upper(record.a)"}, {"a": "x"})[0] == {"out": "X"}


def test_a_plugin_of_two_packages_is_neither(packages):
    """
    Two packages under one name are refused instead of one of them being chosen.
    """
    packages.add("acme4", SOURCE, package="acme4_one")
    packages.add("acme4", SOURCE, package="acme4_two")

    assert "acme4_one and acme4_two" in violations({"source": "a", "steps": ["acme4.initials"]})[0][1]


@pytest.mark.parametrize(
    ("needed", "reason"),
    [
        ({}, None),
        ({"acme5": "1.0.0"}, None),
        ({"acme5": "2.0.0"}, "PLUGIN_VERSION_MISMATCH"),
        ({"other": "1.0.0"}, "PLUGIN_MISSING"),
    ],
    ids=["none", "same", "major", "missing"],
)
def test_a_process_knows_what_it_may_run(packages, needed, reason):
    """
    A mapping compiled with a plug-in runs where that is installed in the same line of versions.
    """
    packages.add("acme5", SOURCE)
    problem = plugins.unmet(needed)

    assert (problem.reason if problem else None) == reason


def test_a_plugin_that_fails_at_a_record_rejects_the_record(packages):
    """
    What a plug-in's function does not foresee is an error of the field, in both forms.
    """
    packages.add("acme6", SOURCE)
    for field in ({"source": "a", "steps": ["acme6.initials"]}, {"expression": "acme6.initials(record.a)"}):
        plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [{"target": "out", **field}]})

        assert plan.apply_many([{"a": 7}]).rejected[0].errors[0].target == "out"
