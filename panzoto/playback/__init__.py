"""Opening a recording with its owner's keys, and playing it: tickets, sittings, and the move to version 2.

It may touch recordings, accounts, the bucket, media and crypto. Keys live as long as the ticket they are
sealed in.
"""
