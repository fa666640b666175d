"""Puts the service together out of the chassis' collaborators."""

from isthmus.kit import Chassis, Consumer, Wiring
from isthmus.kit.bus_users import MAPPING_FLOWS
from isthmus.mapping.v1 import (
    functions_pb2_grpc,
    models_pb2_grpc,
    previews_pb2_grpc,
    schema_registry_pb2_grpc,
    schemas_pb2_grpc,
    suggestions_pb2_grpc,
    versions_pb2_grpc,
)
from isthmus.mapping.v1 import mapping_pb2_grpc as pb_grpc
from isthmus.services.mapping.events import Events, forget_flow
from isthmus.services.mapping.lifecycle import Lifecycle
from isthmus.services.mapping.peers import RegistryPeer, SchedulingPeer
from isthmus.services.mapping.servicer import MappingServicer
from isthmus.services.mapping.servicer_functions import MappingFunctionsServicer
from isthmus.services.mapping.servicer_models import ModelServicer
from isthmus.services.mapping.servicer_previews import MappingPreviewsServicer
from isthmus.services.mapping.servicer_registry import RegistryServicer
from isthmus.services.mapping.servicer_schemas import SchemaServicer
from isthmus.services.mapping.servicer_suggestions import MappingSuggestionsServicer
from isthmus.services.mapping.servicer_versions import MappingVersionsServicer
from isthmus.services.mapping.store import Store
from isthmus.services.mapping.store_registry import RegistryStore
from isthmus.services.mapping.store_schemas import SchemaStore


async def wire(chassis: Chassis) -> Wiring:
    """Wire stores, events and servicers."""
    events = Events(chassis.outbox)
    store, flows = Store(chassis.db), SchedulingPeer(lambda: chassis.peer("scheduling"))
    lifecycle = Lifecycle(store, events.changed, flows, chassis.clock)
    servicer = MappingServicer(store, events.changed, lifecycle, chassis.clock)
    versions = MappingVersionsServicer(store, lifecycle, flows)
    suggestions = MappingSuggestionsServicer(store)
    instances = RegistryPeer(lambda: chassis.peer("registry"))
    previews = MappingPreviewsServicer(store, instances, chassis.clock)
    schemas = SchemaServicer(SchemaStore(chassis.db), events.schema, chassis.clock)
    registry = RegistryServicer(RegistryStore(chassis.db), events.told, chassis.clock, instances)
    return Wiring(
        servicers=[
            (pb_grpc.add_MappingServiceServicer_to_server, servicer),
            (versions_pb2_grpc.add_MappingVersionsServiceServicer_to_server, versions),
            (previews_pb2_grpc.add_MappingPreviewsServiceServicer_to_server, previews),
            (suggestions_pb2_grpc.add_MappingSuggestionsServiceServicer_to_server, suggestions),
            (models_pb2_grpc.add_ModelServiceServicer_to_server, ModelServicer()),
            (functions_pb2_grpc.add_MappingFunctionsServiceServicer_to_server, MappingFunctionsServicer()),
            (schemas_pb2_grpc.add_SchemaServiceServicer_to_server, schemas),
            (schema_registry_pb2_grpc.add_SchemaRegistryServiceServicer_to_server, registry),
        ],
        consumers=[Consumer(*MAPPING_FLOWS, forget_flow)],
    )


__all__ = ["wire"]
