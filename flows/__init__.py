"""Prefect: when the steps run, and what happens when one fails."""
