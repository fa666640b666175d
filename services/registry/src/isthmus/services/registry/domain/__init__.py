"""The rules of the registry, in plain Python: no gRPC, no SQL, no NATS."""
