"""What operators run: the commands, tables and bucket as they must be, verification, backups, costs.

A noun's commands are in its `…_commands`, which asks and tells; `cli` puts them together. It may touch
everything below the edge, and nothing but the composition of the application touches it.
"""
