"""The rules of the hub, in plain Python."""
