"""Zips in, committed batches out."""
