"""Real NATS, PostgreSQL and OpenBao fixtures, service harness and fault tools for tests."""
