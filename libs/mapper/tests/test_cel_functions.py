"""Functions of this product in expressions: declared once, called by both evaluators."""

from typing import Any

import pytest
from isthmus.mapper.cel import reference
from isthmus.mapper.cel.environment import Environment, ExpressionInvalid
from isthmus.mapper.cel.functions import OwnFunction
from isthmus.mapper.cel.program import compile_expression
from isthmus.mapper.cel.values import Failed


def initials(text: Any, count: Any) -> str:
    """The first letters of a text."""
    if text.__class__ is not str or count.__class__ is not int:
        raise Failed("Only texts have initials.")
    return str(text[:count])


DECLARED = OwnFunction("initials", (("string", "int"),), "string", initials, is_member=True)


def test_a_function_is_checked_by_its_signature():
    """
    A declared function is called in macros and elsewhere; operands of other types are refused.
    """
    environment = Environment({"record": "dyn"}, (DECLARED,))
    checked = environment.check("record.names.map(name, name.initials(1)).join('')")
    values = {"record": {"names": ["Ann", "Bob"]}}

    assert compile_expression(checked, {"record": "dyn"}).evaluate(values) == "AB"
    assert reference.evaluate(checked, values) == "AB"
    with pytest.raises(ExpressionInvalid, match="no matching overload"):
        environment.check("true.initials(1)")
    with pytest.raises(Failed):
        compile_expression(checked, {"record": "dyn"}).evaluate({"record": {"names": [7]}})
