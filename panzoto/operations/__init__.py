"""What operators run: the commands, tables and bucket as they must be, verification, backups, costs.

It may touch everything below the edge, and nothing but the composition of the application touches it.
"""
