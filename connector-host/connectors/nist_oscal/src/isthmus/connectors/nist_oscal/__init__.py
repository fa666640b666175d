"""Controls out of an OSCAL catalogue."""
