"""Typed caller of the mesh and the `isthmus` command line."""
