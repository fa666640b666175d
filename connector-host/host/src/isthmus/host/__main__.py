"""Starts a host: `python -m isthmus.host --connector files`."""

import argparse
import sys
from typing import Any

from isthmus.host.settings import HostSettings
from isthmus.host.wiring import Host
from isthmus.kit import serve as serve_chassis
from isthmus.resilience import Fault


def serve(connector: str = "", upstream: str = "", **settings: Any) -> None:
    """Run a host until SIGTERM; what is not given is read from the environment.

    Args:
        connector: Which one to run.
        upstream: Where it runs already; empty runs it in this process.
        settings: Any field of `HostSettings`.
    """
    given: dict[str, Any] = {"connector": connector, "upstream": upstream}
    chosen = HostSettings(**{name: value for name, value in given.items() if value}, **settings)
    host = Host()
    serve_chassis(chosen, host.wire, name=f"host-{chosen.connector}", ready=host.ready)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m isthmus.host", description="Runs one connector.")
    parser.add_argument("--connector", default="", help="connector to run, for example files")
    parser.add_argument("--upstream", default="", help="host:port or unix:/path of a connector to front")
    arguments = parser.parse_args()
    try:
        serve(arguments.connector, arguments.upstream)
    except Fault as fault:
        sys.exit(f"{fault.reason}: {fault.message}")


if __name__ == "__main__":
    main()
