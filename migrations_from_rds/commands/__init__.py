"""What an operator runs: plan, copy (and feed, for mended rejects), verify, rollback, and the proof by
ear.
"""
