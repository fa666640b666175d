"""The connector keeps the contract of all connectors."""

from isthmus.testing.conformance import conformance
from __package__ import __Class__, __Class__Sandbox

test_conformance = conformance(__Class__, __Class__Sandbox)
