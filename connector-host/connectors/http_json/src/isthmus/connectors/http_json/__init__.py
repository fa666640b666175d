"""Any JSON over HTTP API, described by configuration."""
