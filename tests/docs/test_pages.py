"""Documentation says what is."""

import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from isthmus.client.manifest import read_documents

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("pages.py"))
pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pages)

LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.splitlines()
FILES = [ROOT / name for name in LISTED if (ROOT / name).is_file()]
TEXTS = {path: path.read_text() for path in FILES if path.suffix == ".md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\$\{(\w+)\}")
MANIFESTS = [
    pytest.param(body, id=f"{path.relative_to(ROOT)}:{number}")
    for path, text in TEXTS.items()
    for number, (language, body) in enumerate(FENCE.findall(text))
    if language == "yaml" and re.search(r"^kind:", body, re.MULTILINE)
]


@pytest.mark.parametrize(
    ("path", "text"), pages.pages().items(), ids=lambda value: getattr(value, "name", "")
)
def test_generated_pages_are_current(path, text):
    """
    What follows from the code is what the code says.
    """
    assert path.read_text() == text, "run `make docs` and commit the difference"


def test_relative_links_lead_somewhere():
    """
    Nobody follows a link into nothing.
    """
    broken = [
        f"{path.relative_to(ROOT)}: {link}"
        for path, text in TEXTS.items()
        for link in LINK.findall(FENCE.sub("", text))
        if "://" not in link and not (path.parent / link).exists()
    ]

    assert broken == []


@pytest.mark.parametrize("text", MANIFESTS)
def test_manifests_in_documentation_are_valid(text, tmp_path):
    """
    Whoever copies an example gets documents that can be applied.
    """
    file = tmp_path / "example.yaml"
    file.write_text(text)

    assert read_documents([file], dict.fromkeys(VARIABLE.findall(text), "8080"))


def test_every_package_and_top_folder_has_a_readme():
    """
    Every door says what is behind it.
    """
    packages = {path.parent for path in FILES if path.name == "pyproject.toml"}
    tops = {ROOT / path.relative_to(ROOT).parts[0] for path in FILES if path.parent != ROOT}
    folders = {folder for folder in packages | tops if not folder.name.startswith(".")}

    assert [str(folder) for folder in folders if not (folder / "README.md").is_file()] == []


def test_every_page_is_reachable_from_the_first():
    """
    A page that no page leads to is not found.
    """
    overview = (ROOT / "docs" / "README.md").read_text()

    assert [
        path.name for path in (ROOT / "docs").glob("*.md") if path.name not in overview + "README.md"
    ] == []


def test_tests_that_pages_name_exist():
    """
    A guarantee that names its test has it.
    """
    named = {name for text in TEXTS.values() for name in re.findall(r"`([\w/]+\.py)::(\w+)`", text)}

    assert named
    assert [
        name
        for name in named
        if not re.search(rf"^(async )?def {name[1]}\(", (ROOT / name[0]).read_text(), re.M)
    ] == []


async def test_the_connector_of_the_guide_runs(vendor, capsys, monkeypatch):
    """
    Copied together, the two blocks of Python check a system and read its pages.
    """
    blocks = [
        body
        for language, body in FENCE.findall((ROOT / "docs" / "connectors.md").read_text())
        if language == "python"
    ]
    incident = {"id": "i1", "title": "Leak", "updated_at": "2026-01-01T00:00:00Z"}
    vendor.serve_json("/me", {})
    vendor.serve_json("/incidents", {"items": [incident], "next": None})
    module = types.ModuleType("acme_of_the_guide")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    exec(compile("\n".join(blocks), "connectors.md", "exec"), module.__dict__)
    await module.main(vendor.url)

    assert "authenticate PASSED" in (shown := capsys.readouterr().out)
    assert "['i1']" in shown
