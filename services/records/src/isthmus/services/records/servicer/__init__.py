"""Speaks the contracts of the hub; decides nothing."""

from isthmus.services.records.servicer.connector import HubServicer
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.servicer.elsewhere import Elsewhere
from isthmus.services.records.servicer.links import LinksServicer
from isthmus.services.records.servicer.pairing import Pairing
from isthmus.services.records.servicer.pairs import PairsServicer
from isthmus.services.records.servicer.people import People
from isthmus.services.records.servicer.privacy import PrivacyServicer
from isthmus.services.records.servicer.reconciling import ReconciliationServicer, Reconciling
from isthmus.services.records.servicer.records import RecordsServicer
from isthmus.services.records.servicer.statistics import StatisticsServicer

__all__ = [
    "Declaring",
    "Elsewhere",
    "HubServicer",
    "LinksServicer",
    "Pairing",
    "PairsServicer",
    "People",
    "PrivacyServicer",
    "ReconciliationServicer",
    "Reconciling",
    "RecordsServicer",
    "StatisticsServicer",
]
