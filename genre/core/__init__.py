"""Shared by all of `genre`: errors, atomic files, locks, cache, workers, params, messages."""
