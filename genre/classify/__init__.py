"""`genre classify`: ask the champion about files and folders of songs.

`songs` finds the files, `work` answers each, in processes where there are many, `output` shows the
answers as a table, JSON or CSV, `timeline` draws one song's genres through time.
"""
