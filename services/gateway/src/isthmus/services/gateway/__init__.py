"""The HTTP face of the mesh."""
