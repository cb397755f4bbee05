"""Drift: whether the songs that come in are still like those that the champion learned from.

`reference` is what a registered version keeps of its training songs, `measures` are the distances,
`finding` says what they mean, `songs` is a table of what was heard of new songs, `page` and
`picture` show it, `commands` is `genre drift`.
"""
