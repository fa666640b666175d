"""Faults, retry, circuit breaker, token bucket, deadline and bulkhead; pure Python without I/O."""
