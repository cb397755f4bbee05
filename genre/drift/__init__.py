"""Compare new songs with those that the champion was trained on.

`reference` is what a registered version keeps of its training songs, `measures` are the distances,
`report` compares new songs with a reference, `page` and `picture` show the report.
"""
