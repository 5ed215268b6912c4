"""What PostgreSQL and libpq say, and what we say: the cause and what to do, in one sentence.

Never their own text, which may quote the connection string or a row.
"""

from __future__ import annotations

from migrations_from_rds.errors import MigrationError, Refused, SourceBroken

AGAIN = "run the same command again to go on"
WAYS_TO_NAME_IT = "name the database by DATABASE_URL, --database-url or the PG* variables"

# The first that is in libpq's message counts, so what is special stands before what is general.
WRONG_ADDRESS = (
    (
        "root certificate file",
        "sslmode needs the certificate of the server's authority; name it by sslrootcert (PGSSLROOTCERT)",
    ),
    ("could not read root certificate", "the file that sslrootcert names holds no certificate"),
    ("certificate verify failed", "its certificate is not signed by the authority that sslrootcert names"),
    (
        "does not match host name",
        "its certificate is for another host name; use the name that it was made for",
    ),
    (
        "private key file",
        "the key file that sslkey names cannot be used; only its owner may read it (chmod 600)",
    ),
    ("certificate file", "the file that sslcert names cannot be read"),
    ("certificate", "its certificate is not trusted, or it asks for one of ours (sslcert and sslkey)"),
    ("invalid sslmode", "sslmode is none of disable, allow, prefer, require, verify-ca and verify-full"),
    (
        "server does not support SSL",
        "it does not offer the encryption that sslmode asks for; switch it on there, or change sslmode",
    ),
    (
        "invalid response to SSL negotiation",
        "what listens at this address is no PostgreSQL; look at host and port",
    ),
    (
        "expected authentication request",
        "what listens at this address is no PostgreSQL; look at host and port",
    ),
    ("invalid response to GSSAPI", "what listens at this address is no PostgreSQL; look at host and port"),
    ("password authentication failed", "it does not accept the password"),
    ("no password supplied", "it asks for a password and none was given"),
    (
        "authentication failed",
        "it does not let this user in as its pg_hba.conf asks for; give a password, or change that line",
    ),
    ("no pg_hba.conf entry", "it does not let this machine and user in; add a line to its pg_hba.conf"),
    ("pg_hba.conf rejects", "a line of its pg_hba.conf rejects this machine and user"),
    ("is not permitted to log in", "the user has no right to log in; ALTER ROLE … LOGIN gives it"),
    (
        "not currently accepting connections",
        "the database takes no connections; ALTER DATABASE … ALLOW_CONNECTIONS true opens it",
    ),
    (
        "permission denied for database",
        "the user may not connect to this database; GRANT CONNECT ON DATABASE … TO … allows it",
    ),
    ("SSL", "it and this machine do not agree on encryption; look at sslmode"),
)
NOBODY = (
    ('database "', "there is no database of this name on that server"),
    ('role "', "there is no user of this name on that server"),
    ("", "the database or the user does not exist"),
)
# What may pass by itself.
AWAY = (
    ("Connection refused", "nothing listens at its address"),
    ("No such file or directory", "there is no server at the local socket"),
    ("timeout expired", "it did not answer in time"),
    ("could not translate host name", "its host name is unknown"),
    ("failed to resolve host", "its host name is unknown"),
    ("starting up", "it is still starting"),
    ("shutting down", "it is shutting down"),
    ("recovery mode", "it is recovering from a crash"),
    ("not accepting connections", "it takes no connections at present"),
    ("hot standby", "it is a standby that may not be read; set hot_standby = on"),
    ("too many", "it has too many connections; end some, or allow the user more"),
    ("connection slots are reserved", "it has too many connections; end some, or raise max_connections"),
    ("server closed the connection", "it closed the connection at once; look into its log"),
    ("Connection reset", "it closed the connection at once; look into its log"),
    ("No route to host", "there is no way to its address from here"),
    ("unreachable", "there is no way to its address from here"),
    ("Permission denied", "this user may not open its socket or its files"),
)
UNKNOWN = "it refused for a reason that only its log tells"

# SQLSTATEs, or the first two characters of a class of them.
REFUSALS = {
    "42501": "the user may not read all of it (a right is missing, or row level security hides rows); "
    "give it SELECT on both tables, and BYPASSRLS where row level security is on",
    "42P01": "a table is not there any more",
    "42703": "a column is not there any more",
    "42P17": "a policy or a definition of its own goes round in circles",
    "53400": "a limit of the server was reached, such as temp_file_limit; raise it for this user",
    "22": "it holds a value that cannot be converted; name the column's type to the program's authors",
    "XX": "it is damaged: PostgreSQL itself cannot read a row",
}
BREAKS = {
    "40001": "the replica ended the query to keep up with its primary; raise max_standby_streaming_delay",
    "57014": "somebody cancelled the query, or a time limit of the server ended it",
    "57P01": "the server ended the connection, perhaps because it is being stopped",
    "57P02": "the server crashed",
    "57P03": "the server cannot be used at present",
    "57P05": "the server ended the session for being idle",
    "25P03": "the server ended the session for being idle in a transaction",
    "25P04": "the server ended the transaction for being open so long (transaction_timeout)",
    "55P03": "somebody has locked a table, for example to change it",
    "53100": "the server's disk is full",
    "53200": "the server has no memory left",
    "53300": "the server has too many connections",
    "58": "the server could not read its own files",
    "08": "the connection broke",
}


def connection_failure(message: str, *, named: bool) -> MigrationError:
    """Return what to raise for what libpq says when it cannot connect."""
    hint = "" if named else f"; {WAYS_TO_NAME_IT}"
    for theirs, ours in WRONG_ADDRESS:
        if theirs in message:
            return Refused(f"The database cannot be used: {ours}{hint}.")
    reason = next((ours for theirs, ours in AWAY if theirs in message), UNKNOWN)
    if "does not exist" in message and reason == UNKNOWN:
        nobody = next(ours for theirs, ours in NOBODY if theirs in message)
        return Refused(f"The database cannot be used: {nobody}{hint}.")
    return SourceBroken(f"The database cannot be reached: {reason}{hint}.")


def reading_failure(sqlstate: str | None, kind: str) -> MigrationError:
    """Return what to raise when a query fails; `kind` is the error's name where there is no SQLSTATE."""
    code = sqlstate or ""
    for known in (code, code[:2]):
        if known in REFUSALS:
            return Refused(f"The database cannot be read ({code}): {REFUSALS[known]}.")
        if known in BREAKS:
            return SourceBroken(f"Reading the database failed ({code}): {BREAKS[known]}; {AGAIN}.")
    return SourceBroken(f"Reading the database failed ({code or kind}); {AGAIN}.")
