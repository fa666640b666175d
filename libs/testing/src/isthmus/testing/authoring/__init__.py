"""Commands for authors of connectors: a new one, its conformance, the sandbox of its system."""
