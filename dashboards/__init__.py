"""Streamlit pages over the published file; they open nothing else."""
