"""What touches every noun at once: deleting an account, exporting one, and the daily sweep.

It stands above the verbs of accounts, recordings and playback and uses them; nothing below knows it.
"""
