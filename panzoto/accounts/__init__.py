"""Accounts as their owners use them: registering, signing in, the vault, sessions, and how often one may try.

Each verb says what it costs in Argon2 computations. It may touch models, mail, auth and crypto; it knows
neither Flask nor the bucket, and nothing of recordings.
"""
