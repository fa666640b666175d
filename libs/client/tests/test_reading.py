"""Documents out of YAML files."""

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.client.manifest import read_documents
from isthmus.client.problem import Problem
from isthmus.resilience import LIMITS_SCHEMA


def written(tmp_path: Path, text: str | bytes) -> list[Path]:
    file = tmp_path / "integration.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [file]


def test_documents_come_in_the_order_in_which_they_depend_on_one_another(tmp_path):
    """
    A flow may stand before the instance that it names.
    """
    text = """
kind: Flow
name: a
spec: {source: {instance: x, stream: s}, destination: {instance: hub, stream: s}}
---
kind: Instance
name: x
spec: {connector: files}
"""

    assert [document.kind for document in read_documents(written(tmp_path, text))] == ["Instance", "Flow"]


def test_variables_are_filled_in_with_their_type(tmp_path):
    """
    A port given by a variable is a number, a part of a text stays text.
    """
    text = (
        "kind: Instance\nname: x\nspec: {connector: c, configuration: {port: '${P}', url: 'h:${P}/${Q:-q}'}}"
    )

    [document] = read_documents(written(tmp_path, text), {"P": "5432"})

    assert document.spec.configuration == {"port": 5432, "url": "h:5432/q"}


def test_an_unset_variable_is_named_with_its_place(tmp_path):
    """
    Nothing is applied with a hole in it.
    """
    text = "kind: Instance\nname: x\nspec: {connector: '${CONNECTOR}'}"

    with pytest.raises(Problem) as caught:
        read_documents(written(tmp_path, text), {})

    assert caught.value.violations[0].path.endswith("integration.yaml:1")
    assert "CONNECTOR" in caught.value.violations[0].message


def test_all_mistakes_of_all_documents_are_told_at_once(tmp_path):
    """
    One mistake never hides the others.
    """
    text = "kind: Instance\nname: x\nspec: {connector: 3, speed: 9}\n---\nkind: Flo\nname: y\nspec: {}"

    with pytest.raises(Problem) as caught:
        read_documents(written(tmp_path, text))

    assert len(caught.value.violations) == 3


def test_malformed_yaml_is_told_with_line_and_column(tmp_path):
    """
    The place is what a person needs.
    """
    with pytest.raises(Problem) as caught:
        read_documents(written(tmp_path, "kind: Flow\nname: [\n"))

    assert "integration.yaml:3:1" in caught.value.violations[0].path


def test_a_secret_in_a_document_is_not_printed(tmp_path):
    """
    A secret written where a reference belongs stays out of the message.
    """
    text = "kind: Credential\nname: x\nspec: {type: bearer, secret: hunter2}"

    with pytest.raises(Problem) as caught:
        read_documents(written(tmp_path, text))

    assert "hunter2" not in repr(caught.value.violations)


def test_the_same_name_twice_is_a_mistake(tmp_path):
    """
    Which of the two was meant is not for us to guess.
    """
    one = "kind: Instance\nname: x\nspec: {connector: files}\n"

    with pytest.raises(Problem, match="one mistake"):
        read_documents(written(tmp_path, one + "---\n" + one))


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path):
    """
    A wrong encoding is told as such.
    """
    with pytest.raises(Problem, match="not UTF-8 at byte 6"):
        read_documents(written(tmp_path, b"kind: \xff"))


@given(st.text(max_size=200))
def test_any_text_gives_documents_or_a_problem(tmp_path_factory, text):
    """
    No input makes the reader fall over.
    """
    file = tmp_path_factory.mktemp("any") / "x.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")

    try:
        found = read_documents([file], {})
    except Problem as problem:
        found = [problem.message]

    assert all(found)


def test_limits_are_part_of_an_instance_and_of_the_published_schema(tmp_path):
    """
    An editor that knows the schema tells what may be limited.
    """
    text = "kind: Instance\nname: x\nspec: {connector: c, limits: {rate: 5/s, retry: {attempts: 2}}}"

    [document] = read_documents(written(tmp_path, text))
    published = type(document.spec).model_json_schema()["properties"]["limits"]

    assert document.spec.limits == {"rate": "5/s", "retry": {"attempts": 2}}
    assert published["properties"]["retry"]["properties"]["attempts"]["maximum"] == 20


def test_the_example_of_the_page_about_limits_is_a_document(tmp_path):
    """
    What the page shows can be applied as it stands there.
    """
    page = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]

    [document] = read_documents(written(tmp_path, example))

    jsonschema.validate(document.spec.limits, LIMITS_SCHEMA)
    assert document.spec.limits["concurrent"] == 2


def test_a_mistake_is_told_under_its_own_path_without_the_validators_words(tmp_path):
    """
    A value that may be of several kinds is one field to the person who wrote it.
    """
    ends = "source: {instance: hub, stream: a}, destination: {instance: hub, stream: b}"
    schedules = "[{every_minutes: 5, cron: '* * * * *'}]"
    spec = f"{{{ends}, priority: urgent, schedules: {schedules}}}"
    (tmp_path / "a.yaml").write_text(f"kind: Flow\nname: a\nspec: {spec}\n")

    with pytest.raises(Problem) as raised:
        read_documents([tmp_path])

    told = [f"{one.path} {one.message}" for one in raised.value.violations]
    assert [line.split(" ", 2)[1] for line in told] == ["spec.priority", "spec.schedules.0"]
    assert "Value error" not in "".join(told)
