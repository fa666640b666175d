"""Which deviations from the standard are put up with, by who commits them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is read although the standard does not allow it; all of it off is the strict server.

    Attributes:
        any_case_operations: `Add` for `add`.
        text_values: `"False"` for `false`, numbers for texts.
        bare_values: A text where an object with `value` belongs, one value where a list of them belongs.
        values_on_remove: `remove` with a path to a list and the values to remove beside it.
        creates_entries: `add` and `replace` at `emails[type eq "work"].value` make the entry that is missing.
        dotted_keys: `{"name.givenName": "Ann"}` in an operation without a path.
        unknown_schemas: Names of schemas that are not here, and none at all.
        unknown_attributes: Operations on attributes that are not kept here change nothing.
        read_only_attributes: Operations on what only the server sets change nothing.
        unknown_members: Members that are not here are left out.
        bare_words: `userName eq ann` without quotes.
        filtered_attributes: `attributes=emails[type eq "work"]` asks for `emails`.
        quiet_patches: A `PATCH` is answered with 204 and nothing.
    """

    any_case_operations: bool = False
    text_values: bool = False
    bare_values: bool = False
    values_on_remove: bool = False
    creates_entries: bool = False
    dotted_keys: bool = False
    unknown_schemas: bool = False
    unknown_attributes: bool = False
    read_only_attributes: bool = False
    unknown_members: bool = False
    bare_words: bool = False
    filtered_attributes: bool = False
    quiet_patches: bool = False


STRICT = Tolerance()
ENTRA = Tolerance(
    any_case_operations=True,
    text_values=True,
    bare_values=True,
    values_on_remove=True,
    creates_entries=True,
    dotted_keys=True,
    unknown_schemas=True,
    unknown_attributes=True,
    read_only_attributes=True,
    unknown_members=True,
    bare_words=True,
    filtered_attributes=True,
    quiet_patches=True,
)
OKTA = Tolerance(
    any_case_operations=True,
    bare_values=True,
    unknown_schemas=True,
    unknown_attributes=True,
    read_only_attributes=True,
    bare_words=True,
)
DIALECTS = {"strict": STRICT, "entra": ENTRA, "okta": OKTA}

__all__ = ["DIALECTS", "ENTRA", "OKTA", "STRICT", "Tolerance"]
