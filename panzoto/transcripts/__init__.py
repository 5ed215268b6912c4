"""What was said in a recording: jobs and their worker, the speech engine, sealed transcripts, search.

A transcript is sealed to its account the moment it exists; nothing here keeps a word in the clear. Documents,
rendering, times, words and search are plain values and functions: no keys, no tables, no network. A client
writes documents too, and an engine is a stranger, so nothing of either is believed before it was looked at.
"""
