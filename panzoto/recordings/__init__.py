"""The life of a recording, from its announcement to its erasure.

Rows change by `edits` alone, which writes, counts and numbers in one transaction; `ledger` holds the verbs
over it that other rooms call. It may touch the models and the bucket. What is inside a recording is
playback's.
"""
