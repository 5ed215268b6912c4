"""What was said in a recording: jobs and their worker, the speech engine, sealed transcripts, search.

`jobs` takes what is asked for and `worker` does it: `listening` brings the sound to the `engine`, whose
`answer` becomes a `document` by `times`, and `records` stores that sealed. Of a document `rendering` makes
the formats that people read; `words` and `word_line` divide its text, in which `places` finds what a query of
`search` asks for, and `finding` goes through an account.

A transcript is sealed to its account the moment it exists; nothing here keeps a word in the clear. Documents,
rendering, times, words and search are plain values and functions: no keys, no tables, no network. A client
writes documents too, and an engine is a stranger, so nothing of either is believed before it was looked at.
"""
