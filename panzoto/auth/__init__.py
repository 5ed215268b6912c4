"""Who somebody is: password hashes, tokens and the guard in front of every call."""
