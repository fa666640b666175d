"""JSON, JSON Lines and CSV files below an allowed folder."""
