"""What of sensitive records leaves the host, and what others see of them."""

import json

import pytest
from isthmus.host.attempt.privacy import cut_of
from isthmus.records.v1 import records_pb2 as records
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import privacy_pb2

PERSONAL = privacy_pb2.DATA_CLASS_PERSONAL


def mapping(kind, *fields, **rules):
    """A mapping whose source schema says of `name` how sensitive it is."""
    return {
        "version": "isthmus/v1",
        "source_schema": {"properties": {"name": {"type": "string", "x-isthmus-class": kind}}},
        "field_mappings": [{"target": "id", "source": "id"}, *fields],
        "transformations": rules,
    }


NAMED = {"target": "who", "source": "name"}


async def test_destination_is_told_how_sensitive_fields_are(world):
    """
    What a mapping makes is as sensitive as what it is made from, and the destination learns it.
    """
    world.mapping.definition = mapping("personal", NAMED)

    await world.run(world.scheduling.grant(mapping_id="map_1"))

    told = world.hub.openings[0].field_classes
    assert list(told) == [privacy_pb2.FieldClass(path="who", data_class=PERSONAL)]


async def test_quarantine_gets_records_whole_and_reasons_without_values(world):
    """
    A reason that quotes a personal value has a placeholder instead; the record can still be mended.
    """
    world.mapping.definition = mapping("personal", NAMED)
    world.hub.reject = lambda record: "n3 is bad" if record["id"] == 3 else None

    await world.run(world.scheduling.grant(mapping_id="map_1"))

    (held,) = world.quarantine.held.values()
    assert json.loads(held.record) == {"id": 3, "name": "n3"}
    assert [one.path for one in held.field_classes] == ["name"]
    assert "n3" not in held.reasons[0].message


async def test_secrets_stay_on_the_host(world):
    """
    A secret field that no mapping names reaches neither destination nor quarantine, and this is told.
    """
    world.mapping.definition = mapping("secret", unmapped="keep")
    world.hub.reject = lambda record: record["id"] == 3

    ended = await world.run(world.scheduling.grant(mapping_id="map_1"))

    (held,) = world.quarantine.held.values()
    assert {tuple(json.loads(record)) for record in world.hub.data.values()} == {("id",)}
    assert json.loads(held.record) == {"id": 3}
    assert ended.outcome == scheduling.FinishAttemptRequest.OUTCOME_COMPLETED


async def test_a_secret_that_a_mapping_names_goes_on(world):
    """
    Who names a secret field in a mapping gets it.
    """
    world.mapping.definition = mapping("secret", NAMED)

    await world.run(world.scheduling.grant(mapping_id="map_1"))

    assert json.loads(world.hub.data["3"]) == {"id": 3, "who": "n3"}


async def test_samples_of_a_dry_run_show_placeholders(world):
    """
    A dry run shows which fields would change, and no personal value.
    """
    world.hub.previews = True
    world.mapping.definition = mapping("personal", NAMED)
    grant = world.scheduling.grant(mapping_id="map_1")
    grant.execution.is_dry_run = True

    preview = (await world.run(grant)).preview

    shown = {field.path: field.after for field in preview.samples[0].fields}
    assert shown["who"] == '"‹personal: 2 characters›"'
    assert shown["id"] == "0"


async def test_requeued_records_stay_as_sensitive(world):
    """
    What comes out of quarantine, and goes back, is still known to be personal.
    """
    held = records.QuarantinedRecord(
        quarantine_id="qrn_1",
        flow_id="flw_1",
        status=records.QuarantinedRecord.STATUS_REQUEUED,
        record='{"id":3,"name":"n3"}',
        field_classes=[privacy_pb2.FieldClass(path="name", data_class=PERSONAL)],
    )
    world.quarantine.held[held.quarantine_id] = held
    world.hub.reject = lambda record: True
    grant = world.scheduling.grant()
    grant.execution.trigger = scheduling.Execution.TRIGGER_REQUEUE

    await world.run(grant)

    back = [one for one in world.quarantine.held.values() if one.quarantine_id != "qrn_1"]
    assert [one.path for one in (back or [held])[0].field_classes] == ["name"]


@pytest.mark.parametrize("record", [{"id": 1, "token": "t"}, b'{"id":1,"token":"t"}'])
def test_samples_that_people_look_at_have_no_secrets(record):
    """
    Whether a record is decoded yet or not; a field that is named comes along.
    """
    schema = '{"properties": {"token": {"type": "string", "x-isthmus-class": "secret"}}}'
    cut = cut_of(schema, ["id"])

    assert cut is not None
    assert cut(record) == {"id": 1}
    assert cut_of(schema, ["token"]) is None
