"""The machine that the service runs on: how many processes and threads it bears, and what runs beside it.

It imports nothing of the service; the settings ask it for their defaults.
"""
