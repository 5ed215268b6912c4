"""What was said in a recording: the document of it, its four formats, and finding words in it.

Documents, rendering, words and search are plain values and functions: no keys, no tables, no network. A
client writes documents too, so nothing in one is believed before it was looked at.
"""
