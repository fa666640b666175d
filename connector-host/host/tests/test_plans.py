"""A host runs only definitions for which it has the plug-ins."""

import json
from types import SimpleNamespace

import pytest
from isthmus.host.plans import Plans
from isthmus.mapping.v1 import mapping_pb2
from isthmus.resilience import FixRequest


def plans_of(**needed: str) -> Plans:
    """Plans of a mesh whose mapping was compiled with these plug-ins."""
    definition = {"version": "isthmus/v1", "field_mappings": [{"target": "a", "source": "a"}]}

    async def get_plan(request: mapping_pb2.GetPlanRequest, **_: object) -> mapping_pb2.GetPlanResponse:
        return mapping_pb2.GetPlanResponse(
            mapping_id=request.mapping_id,
            version=1,
            fingerprint="f",
            definition=json.dumps(definition),
            plugins=needed,
        )

    return Plans(SimpleNamespace(mapping=SimpleNamespace(GetPlan=get_plan)))  # type: ignore[arg-type]


async def test_a_definition_is_refused_where_its_plugin_is_missing():
    """
    A host without the plug-in says which one, instead of computing something else.
    """
    with pytest.raises(FixRequest) as refused:
        await plans_of(acme="1.2.0").get("tnt_1", "map_1", 1)

    assert refused.value.reason == "PLUGIN_MISSING"
    assert "map_1 cannot run here" in str(refused.value)
    assert "'acme'" in str(refused.value)


async def test_a_definition_without_plugins_runs_anywhere():
    """
    Most definitions need nothing but the product.
    """
    plan, _ = await plans_of().get("tnt_1", "map_1", 1)

    assert plan.apply({"a": 1}) == {"a": 1}
