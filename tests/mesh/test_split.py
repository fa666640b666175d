"""One record becomes several at the destination, and what is gone from it goes there as well."""

import pytest

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: orders
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: orders, path: /orders, records_path: items, key: [id]}}]
---
kind: Mapping
name: lines
spec:
  transformations:
    split: {{each: lines}}
    rules: [{{name: some, check: "result.count > 0", consequence: quarantine}}]
  field_mappings:
    - {{target: key, template: "{{$record.id}}/{{sku}}"}}
    - {{target: order, source: $record.id}}
    - {{target: count, source: count, cast: integer}}
"""
ABSENT = "{absent: true, filtered: true, most_percent: 100}"


def flow(name="lines", **more):
    """The document of a flow."""
    spec = {
        "source": "{instance: orders, stream: orders}",
        "mapping": "lines",
        "destination": "{instance: hub, stream: lines}",
        **more,
    }
    return f"---\nkind: Flow\nname: {name}\nspec:\n" + "".join(
        f"  {key}: {told}\n" for key, told in spec.items()
    )


def order(name, *lines):
    """An order with lines."""
    return {"id": name, "lines": [{"sku": sku, "count": count} for sku, count in lines]}


def sync(mesh, vendor, *orders):
    """Read orders, and return the counts."""
    vendor.serve_json("/orders", {"items": list(orders)})
    done = mesh.answer("sync", "run", "lines", "--watch")
    assert done["status"] == "STATUS_COMPLETED", done
    return {name: int(number) for name, number in done["counts"].items() if int(number)}


def lines(mesh):
    """What the hub holds."""
    return {one["key"]: one["data"]["count"] for one in mesh.answer("records", "query", "lines")}


def test_parts_come_change_and_go_with_their_record(mesh, vendor):
    """
    A line that is taken off its order is gone, and so are those of an order that is; what waits stays.
    """
    vendor.serve_json("/orders", {"items": []})
    mesh.apply(DOCUMENTS.format(url=vendor.url) + flow(key="[key]", read_mode="full", deletes=ABSENT))

    first = sync(mesh, vendor, order("o1", ("a", 1), ("b", 2)), order("o2", ("a", 3)), order("o3"))
    assert first.items() >= {"read": 4, "created": 3, "filtered": 1}.items()
    assert lines(mesh) == {"o1/a": 1, "o1/b": 2, "o2/a": 3}

    second = sync(mesh, vendor, order("o1", ("b", 5)), order("o4", ("c", 6)))
    assert second.items() >= {"created": 1, "updated": 1, "deleted": 2}.items()
    assert lines(mesh) == {"o1/b": 5, "o4/c": 6}

    damaged = sync(
        mesh,
        vendor,
        order("o1", ("b", 5)),
        order("o4", ("c", 7), ("d", 0)),
        order("o5", ("e", 1), ("e", 2)),
    )
    assert damaged.items() >= {"read": 3, "unchanged": 1, "quarantined": 2}.items()
    assert lines(mesh) == {"o1/b": 5, "o4/c": 6}
    waiting = mesh.answer("quarantine", "list", "--flow", "lines")
    assert {one["reasons"][0]["reason"] for one in waiting} == {"RULE_BROKEN", "KEY_TWICE"}


@pytest.mark.parametrize(
    "more",
    [{"read_mode": "full", "deletes": "{absent: true}"}, {"key": "[key]"}],
    ids=["no key", "deletions"],
)
def test_flows_that_could_not_tell_what_is_gone_are_refused(mesh, vendor, more):
    """
    The refusal says what the flow lacks, before anything is read.
    """
    vendor.serve_json("/orders", {"items": []})
    mesh.apply(DOCUMENTS.format(url=vendor.url))
    file = mesh.home / "unsound.yaml"
    file.write_text(flow(name="unsound", **more))

    refused = mesh.run("apply", "-f", str(file))

    assert refused.code == 1
    assert "SPLIT_UNSOUND" in refused.out + refused.err
