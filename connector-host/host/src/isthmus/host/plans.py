"""Compiled mappings, kept by version and by content."""

from collections import OrderedDict

import msgspec
from isthmus.host.control import ControlPlane, call
from isthmus.mapper import MappingInvalid, Plan, compile_mapping
from isthmus.mapper.functions import plugins
from isthmus.mapping.v1 import mapping_pb2 as mapping
from isthmus.models import schema_of
from isthmus.resilience import FixRequest, Violation

_MOST_PLANS = 200


class Plans:
    """Fetches and compiles mappings; a version never changes, so each is compiled once.

    Args:
        control: Where mappings are.
    """

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._fingerprints: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        self._plans: OrderedDict[str, tuple[Plan, str]] = OrderedDict()

    async def get(self, tenant_id: str, mapping_id: str, version: int) -> tuple[Plan, str]:
        """Return a compiled mapping and the JSON Schema of what it gives, empty when unknown.

        Raises:
            Fault: `MAPPING_UNKNOWN`, `MAPPING_INVALID` when this host cannot compile it, or `PLUGIN_MISSING`,
                `PLUGIN_BROKEN` or `PLUGIN_VERSION_MISMATCH` when it would compute something else.
        """
        key = (tenant_id, mapping_id, version)
        known = self._plans.get(self._fingerprints.get(key, "")) if version else None
        if known is not None:
            return known
        request = mapping.GetPlanRequest(mapping_id=mapping_id, version=version)
        answer = await call(self._control.mapping.GetPlan, request)
        problem = plugins.unmet(answer.plugins)
        if problem is not None:
            raise FixRequest(problem.reason, f"Mapping {mapping_id} cannot run here. {problem.message}")
        found = self._plans.get(answer.fingerprint) or _compiled(answer.definition, mapping_id)
        self._plans[answer.fingerprint] = found
        self._fingerprints[(tenant_id, mapping_id, answer.version)] = answer.fingerprint
        for kept in (self._plans, self._fingerprints):
            while len(kept) > _MOST_PLANS:
                kept.popitem(last=False)
        return found


def _compiled(definition: str, mapping_id: str) -> tuple[Plan, str]:
    try:
        document = msgspec.json.decode(definition or "{}", type=dict[str, object])
        plan = compile_mapping(document)
        schema = document.get("target_schema")
        told = isinstance(schema, dict | str) and schema
        return plan, msgspec.json.encode(schema_of(told)).decode() if told else ""
    except msgspec.MsgspecError as error:
        message = f"The definition of mapping {mapping_id} is not a JSON object; save the mapping again."
        raise FixRequest("MAPPING_INVALID", message) from error
    except MappingInvalid as invalid:
        message = f"Mapping {mapping_id} cannot be compiled: {invalid}"
        violations = [Violation(one.path, one.reason, one.message) for one in invalid.violations]
        raise FixRequest("MAPPING_INVALID", message, violations=violations) from invalid


__all__ = ["Plans"]
