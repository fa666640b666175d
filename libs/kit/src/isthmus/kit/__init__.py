"""The chassis of every Isthmus service: serve, faults, bus, outbox, database, identity, telemetry."""
