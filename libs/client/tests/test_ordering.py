"""The order of a plan's steps, as documents tell it."""

import pytest
from isthmus.client.manifest import read_documents
from isthmus.client.problem import Problem

PLAN = "kind: Plan\nname: round\nspec:\n  steps: {steps}\n"


def problem(tmp_path, steps):
    """Reads a plan that is refused."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN.format(steps=steps))
    with pytest.raises(Problem) as caught:
        read_documents([file])
    [violation] = caught.value.violations
    return violation


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("[{name: a, after: [b]}, {name: b, after: [c]}, {name: c, after: [a]}]", "wait for one another"),
        ("[{name: a, after: [a]}]", "steps[0].after[0]: these steps wait for one another: a → a"),
        ("[{name: a}, {name: b, after: [a, x]}]", "steps[1].after[1]: there is no step x"),
        ("[{name: a}, {name: a}]", "steps[1].name: there is a step a already"),
    ],
    ids=["circle", "itself", "unknown", "twice"],
)
def test_steps_without_an_order_are_refused_with_the_place(tmp_path, steps, told):
    """
    Before anything is sent.
    """
    violation = problem(tmp_path, steps)

    assert told in violation.message
    assert "plan.yaml:1 spec.steps" in violation.path


def test_a_number_that_has_a_word_is_written_as_the_word(tmp_path):
    """
    So that applying again finds no difference.
    """
    file = tmp_path / "flow.yaml"
    ends = "source: {instance: hub, stream: a}, destination: {instance: hub, stream: b}"
    file.write_text(f"kind: Flow\nname: f\nspec: {{{ends}, priority: 100}}\n")

    [document] = read_documents([file])

    assert document.spec.priority == "high"
