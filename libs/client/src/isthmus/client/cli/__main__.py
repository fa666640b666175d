"""Lets `python -m isthmus.client.cli` stand for `isthmus`."""

from isthmus.client.cli.run import main

main()
