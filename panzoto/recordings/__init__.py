"""The life of a recording, from its announcement to its erasure; `ledger` is the one way in which rows
change.

It may touch the models and the bucket. What is inside a recording is playback's.
"""
