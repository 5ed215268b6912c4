"""What the service says of itself: log lines, metrics, traces. No secret is ever among it.

It imports nothing of the service, so everything may use it.
"""
