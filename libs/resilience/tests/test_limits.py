"""The page about limits against the schema that holds."""

from pathlib import Path

from isthmus.resilience import LIMITS_SCHEMA

PAGE = Path(__file__).parents[3] / "docs" / "limits.md"


def rows(schema, path=""):
    """Each limit as the page's table has it."""
    for name, rule in schema["properties"].items():
        if "properties" in rule:
            yield from rows(rule, f"{path}{name}.")
            continue
        default = rule.get("default", "the connector's" if name == "rate" else "any number")
        allowed = rule.get("enum") or rule.get("examples")
        shown = ", ".join(allowed) if allowed else f"{rule['minimum']:g} to {rule['maximum']}"
        number = f"{default:.10g}" if isinstance(default, float) else default
        yield f"| `{path}{name}` | {number} | {shown} | {rule['description']} |"


def test_the_page_tells_every_limit_with_its_default_and_bounds():
    """
    People read the table; the registry and the SDK read the schema.
    """
    _, _, behind = PAGE.read_text().partition("| Limit | Default | Allowed | Meaning |")
    table = [line for line in behind.split("\n\n")[0].splitlines() if line.startswith("| `")]

    assert table == list(rows(LIMITS_SCHEMA))
