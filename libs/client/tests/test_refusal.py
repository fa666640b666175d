"""What applying refuses, in words of the documents."""

import pytest
from isthmus.client.manifest import read_documents
from isthmus.client.manifest.references import check_references
from isthmus.client.manifest.refusal import refused
from isthmus.client.problem import ExitCode, Problem, Violation

FLOW = """
kind: Flow
name: tickets
spec:
  source: {instance: desk, stream: tickets}
  destination: {instance: hub, stream: tickets}
  mapping: to-hub
"""
PLAN = "kind: Plan\nname: all\nspec: {steps: [{name: one, flow: tickets, compensate: undo}]}"
DESK = "kind: Instance\nname: desk\nspec: {connector: files, configuration: {}}"


class Empty:
    """A mesh that holds nothing."""

    def find(self, kind, name):
        """Nothing is found."""


@pytest.fixture
def documents(tmp_path):
    """Reads documents from text."""

    def read(*texts):
        (tmp_path / "a.yaml").write_text("\n---\n".join(texts))
        return read_documents([tmp_path])

    return read


def test_unknown_names_are_told_all_at_once_before_anything_is_applied(documents):
    """
    What another document brings counts as known.
    """
    with pytest.raises(Problem) as raised:
        check_references(documents(FLOW, PLAN, DESK), Empty())

    assert [(one.path, one.message.split(":")[0]) for one in raised.value.violations] == [
        ("Flow tickets", "there is no mapping to-hub"),
        ("Plan all", "there is no flow undo"),
    ]
    assert raised.value.exit_code is ExitCode.USAGE


def test_a_refusal_names_the_document_and_its_own_fields(documents):
    """
    Who writes YAML does not know the fields of the contract.
    """
    path = "flow.conflict_rules.source_time_field"
    said = Problem(
        "FIELD_INVALID",
        f"Set `{path}`; it is empty.",
        violations=(Violation(path, f"Set `{path}`; it is empty."),),
        exit_code=ExitCode.USAGE,
    )

    problem = refused(documents(FLOW)[0], said, has_changed=False)

    assert problem.message == "Flow tickets: Set `spec.conflict.source_field`; it is empty."
    assert [one.path for one in problem.violations] == ["spec.conflict.source_field"]
    assert problem.exit_code is ExitCode.USAGE


def test_a_refusal_in_the_middle_says_that_something_was_changed(documents):
    """
    The exit code for a mistake promises that nothing was.
    """
    said = Problem("CRON_INVALID", "Write five fields.", exit_code=ExitCode.USAGE)

    problem = refused(documents(FLOW)[0], said, has_changed=True)

    assert problem.exit_code is ExitCode.FAILED
    assert problem.message.endswith("What came before it is applied; mend it and apply again.")
