"""Puts the hub together."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from isthmus.connector.v1 import connector_pb2_grpc
from isthmus.kit import Chassis, Consumer, ReceivedEvent, Wiring, bus_users
from isthmus.kit.quotas import QuotaBook
from isthmus.records.v1 import (
    links_pb2_grpc,
    pairs_pb2_grpc,
    privacy_pb2_grpc,
    reconciliation_pb2_grpc,
    records_pb2_grpc,
    statistics_pb2_grpc,
)
from isthmus.resilience.faults import OutOfTime, RetryLater
from isthmus.services.records.events import Announcer
from isthmus.services.records.keys import SuppressionKeys
from isthmus.services.records.servicer import (
    Declaring,
    Elsewhere,
    HubServicer,
    LinksServicer,
    Pairing,
    PairsServicer,
    People,
    PrivacyServicer,
    ReconciliationServicer,
    Reconciling,
    RecordsServicer,
    StatisticsServicer,
)
from isthmus.services.records.settings import RecordsSettings
from isthmus.services.records.stock import Stock
from isthmus.services.records.store import (
    ChangeReader,
    ClassStore,
    LinkStore,
    OrphanStore,
    QuarantineStore,
    RecordPreviewer,
    RecordQueries,
    RecordWriter,
)
from isthmus.services.records.store.pairs import ConflictStore, PairReader, PairRounds, PairWriter
from isthmus.services.records.store.privacy import Erasures, PersonStore, RetentionStore
from isthmus.services.records.store.reconciling import AnnouncementWriter, Comparisons, Reports
from isthmus.services.records.store.sampling import Sampler
from sqlalchemy.ext.asyncio import AsyncConnection


async def wire(chassis: Chassis) -> Wiring:
    """Put the hub together out of the chassis' collaborators."""
    events = Announcer(chassis.outbox)
    queries = RecordQueries(chassis.db)
    pairing = Pairing(
        chassis.peer("scheduling"),
        PairWriter(chassis.db, remembered=chassis.settings.hub_credit),
        PairRounds(chassis.db, events.conflicts_changed),
        PairReader(chassis.db),
    )
    reports = Reports(chassis.db)
    comparisons = Comparisons(chassis.db, reports)
    announcements = AnnouncementWriter(chassis.db, remembered=chassis.settings.hub_credit)
    reconciling = Reconciling(announcements, comparisons, reports)
    classes = ClassStore(chassis.db)
    keys = SuppressionKeys(lambda: chassis.peer("identity"))
    declaring = Declaring(classes)
    hub = _hub(
        chassis, events, queries, pairing=pairing, reconciling=reconciling, declaring=declaring, keys=keys
    )
    conflicts = ConflictStore(chassis.db, events.conflicts_changed)
    waiting = QuarantineStore(chassis.db, events.quarantine_changed, keys.of)
    records = RecordsServicer(chassis.db, queries, waiting, declaring)
    orphans = OrphanStore(chassis.db, chassis.clock, keep=timedelta(days=chassis.settings.orphan_links_days))
    retention = RetentionStore(chassis.db, events.purged)
    people = _people(chassis, events, classes, keys)
    return Wiring(
        servicers=[
            (connector_pb2_grpc.add_ConnectorServiceServicer_to_server, hub),
            (records_pb2_grpc.add_RecordsServiceServicer_to_server, records),
            (
                statistics_pb2_grpc.add_StatisticsServiceServicer_to_server,
                StatisticsServicer(Sampler(chassis.db), declaring),
            ),
            (
                privacy_pb2_grpc.add_PrivacyServiceServicer_to_server,
                PrivacyServicer(chassis.db, retention, people, events.retention_changed),
            ),
            (
                pairs_pb2_grpc.add_PairsServiceServicer_to_server,
                PairsServicer(conflicts, pairing.key_of, declaring),
            ),
            (
                reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server,
                ReconciliationServicer(reports, comparisons, declaring),
            ),
            (
                links_pb2_grpc.add_LinksServiceServicer_to_server,
                LinksServicer(LinkStore(chassis.db), orphans),
            ),
        ],
        tasks=_cleaning(chassis.settings, orphans, retention, people.erasures),
        consumers=_consumers(pairing, reconciling, orphans),
    )


def _hub(
    chassis: Chassis,
    events: Announcer,
    queries: RecordQueries,
    *,
    pairing: Pairing,
    reconciling: Reconciling,
    declaring: Declaring,
    keys: SuppressionKeys,
) -> HubServicer:
    """The hub as flows see it: a connector that reads and writes."""
    return HubServicer(
        chassis,
        RecordWriter(
            chassis.db, events.records_changed, remembered=chassis.settings.hub_credit, key_of=keys.of
        ),
        ChangeReader(chassis.db),
        queries,
        pairing=pairing,
        previewer=RecordPreviewer(chassis.db, events.records_changed, remembered=1, key_of=keys.of),
        reconciling=reconciling,
        declaring=declaring,
        stock=Stock(QuotaBook(lambda: chassis.peer("identity")), queries.stored, queries.weighed),
    )


def _people(chassis: Chassis, events: Announcer, classes: ClassStore, keys: SuppressionKeys) -> People:
    """What exports and erases one person's data."""
    return People(
        chassis.db,
        PersonStore(chassis.db),
        Erasures(chassis.db, keys.of),
        classes,
        elsewhere=Elsewhere(chassis.db, chassis.peer),
        announce=events.person_erased,
    )


def _consumers(pairing: Pairing, reconciling: Reconciling, orphans: OrphanStore) -> list[Consumer]:
    async def flow_deleted(connection: AsyncConnection, event: ReceivedEvent) -> None:
        await pairing.flow_deleted(connection, event)
        await reconciling.flow_deleted(connection, event)
        name = str(event.data.get("flow", {}).get("name", ""))
        await orphans.deleted(connection, event.tenant_id, event.subject, name, event.time)

    return [
        Consumer(*bus_users.RECORDS_ROUNDS, pairing.ended, wanted=pairing.is_of_round),
        Consumer(*bus_users.RECORDS_FLOWS, flow_deleted),
        Consumer(*bus_users.RECORDS_RECONCILIATIONS, reconciling.ended),
    ]


def _cleaning(
    settings: RecordsSettings, orphans: OrphanStore, retention: RetentionStore, erasures: Erasures
) -> list[Callable[[], Awaitable[None]]]:
    """What removes, again and again, what nobody may or needs to keep."""

    async def purge_some() -> bool:
        is_more = await retention.purge()
        if not is_more:
            await erasures.rekey_all()
        return is_more

    return [
        partial(_prune, orphans.prune, settings.prune_seconds),
        partial(_prune, purge_some, settings.retention_seconds),
    ]


async def _prune(portion: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Remove what is too old, portion by portion, for ever; an outage is waited out."""
    while True:
        with suppress(RetryLater, OutOfTime):
            while await portion():
                pass
        await asyncio.sleep(seconds)
