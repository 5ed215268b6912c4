"""Who somebody is: password hashes, access and refresh tokens, and the tokens and keys of OpenID providers.

Values in, values or an error out: no tables and no Flask. jwt is used here alone, argon2 here and in crypto.
"""
