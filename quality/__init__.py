"""Data quality: the catalogue of rules."""
