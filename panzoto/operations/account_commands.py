"""`flask panzoto accounts …`: what operators do when somebody writes about their account."""

from __future__ import annotations

import logging
import unicodedata
from email.utils import parseaddr

import click

from panzoto.errors import PanzotoError, UserNotFound
from panzoto.models import User
from panzoto.models.attributes import rfc3339
from panzoto.operations.application import services
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import number_of
from panzoto.operations.helpdesk import Found, Helpdesk

accounts = Commands("accounts", help="Accounts: find, lock, unlock one; finish deletions.")
log = logging.getLogger(__name__)
WHO = click.argument("who", metavar="ADDRESS")


@accounts.command()
@WHO
def find(who: str) -> None:
    """Show the account of ADDRESS (or of an id): state, usage, sessions. Its owner sees that you looked."""
    desk = Helpdesk(services().sessions)
    for found in [desk.look_up(user) for user in _all_of(who)]:
        click.echo("\n".join(_lines(found)))


@accounts.command()
@WHO
def lock(who: str) -> None:
    """Keep everybody out of the account of ADDRESS (or an id), and end its sessions. Nothing is removed."""
    user = _the_one(who)
    locked = Helpdesk(services().sessions).lock(user)
    click.echo(f"{user.user_id}: {'locked' if locked else 'was locked already'}; its sessions have ended.")


@accounts.command()
@WHO
def unlock(who: str) -> None:
    """Let the account of ADDRESS (or of an id) be used again. Its owner signs in anew."""
    user = _the_one(who)
    unlocked = Helpdesk(services().sessions).unlock(user)
    click.echo(f"{user.user_id}: {'unlocked' if unlocked else 'was not locked'}.")


@accounts.command("end-sessions")
@WHO
def end_sessions(who: str) -> None:
    """End every session of the account of ADDRESS (or an id). Its password goes on being good."""
    user = _the_one(who)
    ended = Helpdesk(services().sessions).end_sessions(user)
    click.echo(f"{user.user_id}: {number_of(ended, 'session')} ended.")


@accounts.command()
def sweep() -> None:
    """Finish interrupted deletions of which neither a worker nor the chores know; safe to repeat."""
    deletion = services().deletion
    outcomes: list[PanzotoError | None] = []
    try:
        outcomes.extend(map(deletion.run_or_log, User.all_being_deleted()))
    except PanzotoError as error:
        log.warning("deletion_interrupted", extra={"code": error.code})
        raise
    finally:
        finished = outcomes.count(None)
        click.echo(f"{finished} deletions finished")
    if finished < len(outcomes):
        raise click.ClickException(
            f"{len(outcomes) - finished} could not be finished; the log says why. Run it again."
        )


def _all_of(who: str) -> list[User]:
    """Return the accounts that may be meant, at least one."""
    try:
        return Helpdesk(services().sessions).find(_meant(who))
    except UserNotFound as error:
        raise click.ClickException(f"{_plain(who)}: {error.sentence}") from error


def _the_one(who: str) -> User:
    """Return the one account that is meant; the caller is told the ids where there are several."""
    found = _all_of(who)
    if len(found) > 1:
        ids = ", ".join(user.user_id for user in found)
        raise click.ClickException(f"{_plain(who)} is the address of several accounts; give the id: {ids}")
    return found[0]


def _meant(text: str) -> str:
    """Return the address as accounts have it, or an id, of what a person pasted: `Ada <ADA@Example.com> `."""
    written = "".join(character for character in text if unicodedata.category(character) != "Cf").strip()
    written = written.removeprefix("mailto:")
    if "<" in written:
        written = parseaddr(written)[1] or written
    return written.strip().lower()


def _lines(found: Found) -> list[str]:
    user = found.user
    state = {
        "account": user.user_id,
        "address": _plain(user.mail_address or "none"),
        "signs in by": "OpenID" if user.signs_in_by_openid else "password",
        "made": rfc3339(user.created_at),
        "address confirmed": "yes" if user.has_verified_email else "no",
        "recovery key": "there is one" if user.recovery_wrap() else "none",
        "locked": f"since {rfc3339(user.locked_at)}" if user.is_locked else "no",
        "being deleted": f"since {rfc3339(user.deletion_started_at)}" if user.being_deleted else "no",
        "recordings": f"{found.recordings}, {found.size} bytes",
        "sessions": str(len(found.sessions)),
    }
    sessions = [
        f"  {one.session_id}  began {rfc3339(one.created_at)}  last seen {rfc3339(one.last_seen_at)}"
        f"  {_plain(one.device_name)}"
        for one in found.sessions
    ]
    return [*(f"{name}: {value}" for name, value in state.items()), *sessions]


def _plain(text: str) -> str:
    """Return what somebody else chose, unable to steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
