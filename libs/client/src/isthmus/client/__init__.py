"""Typed caller of the mesh and the `isthmus` command line."""

from isthmus.client.mesh import Mesh
from isthmus.client.problem import Problem
from isthmus.client.profile import Profile, find_home, load_profile

__all__ = ["Mesh", "Problem", "Profile", "find_home", "load_profile"]
