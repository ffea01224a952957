"""`longshore token` and `user`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from longshore.cli.filters import moment
from longshore.cli.lazy import Noun
from longshore.cli.output import Column, ago, clean, print_json, print_list
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import Token, User

USER_SCOPES = ("jobs:read", "jobs:submit", "jobs:cancel", "jobs:remove")
SCOPES = (*USER_SCOPES, "workers:control", "admin")


def _state(token: Token) -> str:
    if token.revoked_at:
        return "revoked"
    if token.expires_at is None:
        return "valid"
    return f"{'ended' if token.expires_at <= datetime.now(UTC) else 'ends'} {ago(token.expires_at)}"


TOKEN_COLUMNS = [
    Column("id", lambda token: token.id),
    Column("user", lambda token: clean(token.user)),
    Column("begins", lambda token: clean(token.prefix)),
    Column("created", lambda token: ago(token.created_at)),
    Column("state", _state),
    Column("scopes", lambda token: " ".join(token.scopes)),
    Column("name", lambda token: clean(token.name)),
]
USER_COLUMNS = [
    Column("name", lambda user: clean(user.name)),
    Column("created", lambda user: ago(user.created_at)),
    Column("state", lambda user: "disabled" if user.disabled_at else "active"),
    Column("scopes", lambda user: " ".join(user.scopes)),
]
_scopes = click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="May be repeated (default: all that users may).",
)
_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group(cls=Noun)
@output_options
def token() -> None:
    """Make, list and revoke credentials."""


_EXAMPLES = """\b
  export LONGSHORE_TOKEN=$(longshore token create --user ana --scope jobs:submit)
"""


@token.command("create", epilog=_EXAMPLES)
@click.option("--user", help="Whose token (default: yours). An admin may name anybody; a new name makes a user.")
@_scopes
@click.option("--name", default="", help="What it is for.")
@click.option("--expires", metavar="WHEN", help="When it ends: an instant, or 12h, 30d from now.")
@output_options
@pass_session
def create_token(session: Session, user: str | None, scopes: Sequence[str], name: str, expires: str | None) -> None:
    """Make a token. It is printed this once and stored nowhere."""
    expires_at = moment(expires) if expires else None
    made = _token_for(session, user, scopes, name, expires_at)
    if session.as_json:
        print_json(session, dict(made.raw))
    else:
        click.echo(made.token)
        session.note(f"Token {made.id} of {made.user}: {' '.join(made.scopes)}. It is not shown again.")


def _token_for(session: Session, user: str | None, scopes: Sequence[str], name: str, expires_at: str | None) -> Token:
    """Make the token, and before it the user if there is none: a script needs one command for one more person."""
    from longshore.client import NotFound  # noqa: PLC0415 - the shell's completion works without it

    tokens, users = session.client.tokens, session.client.users
    try:
        return tokens.create(user=user, name=name, scopes=scopes, expires_at=expires_at)
    except NotFound:
        if user is None:
            raise
    users.create(user, scopes=sorted({*USER_SCOPES, *scopes}))
    session.note(f"There was no user {user}: made one.")
    return tokens.create(user=user, name=name, scopes=scopes, expires_at=expires_at)


@token.command("ls")
@click.option("--user", help="Only this user's.")
@output_options
@pass_session
def list_tokens(session: Session, user: str | None) -> None:
    """List tokens, without their secrets."""
    print_list(session, session.client.tokens.list(user), TOKEN_COLUMNS, "No tokens.")


@token.command("revoke")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@output_options
@pass_session
def revoke(session: Session, ids: Sequence[str]) -> None:
    """Make tokens worthless, by id."""
    for each in ids:
        session.client.tokens.revoke(each)
    if session.as_json:
        print_json(session, [{"id": each, "revoked": True} for each in ids])
    else:
        for each in ids:
            click.echo(f"{each}  revoked")


@click.group(cls=Noun)
@output_options
def user() -> None:
    """Make, list and disable users; this needs the scope admin."""


@user.command("create")
@click.argument("name")
@_scopes
@click.option("--password", is_flag=True, help="Ask for a password; without one, tokens are the only way in.")
@_stdin
@output_options
@pass_session
def create_user(session: Session, name: str, scopes: Sequence[str], password: bool, password_stdin: bool) -> None:
    """Make a user."""
    secret = _password(stdin=password_stdin) if password or password_stdin else None
    made = session.client.users.create(name, password=secret, scopes=scopes)
    if session.as_json:
        print_json(session, dict(made.raw))
    else:
        click.echo(f"{made.name}  {made.id}")


@user.command("ls")
@output_options
@pass_session
def list_users(session: Session) -> None:
    """List users."""
    print_list(session, session.client.users.list(), USER_COLUMNS, "No users.")


@user.command("password")
@click.argument("name")
@_stdin
@output_options
@pass_session
def password(session: Session, name: str, password_stdin: bool) -> None:
    """Give a user another password, yourself or as an admin anybody."""
    session.client.users.set_password(name, _password(stdin=password_stdin))
    if session.as_json:
        print_json(session, {"name": name, "has_password": True})
    else:
        click.echo(f"{clean(name)}  has a new password")


@user.command("disable")
@click.argument("name")
@output_options
@pass_session
def disable(session: Session, name: str) -> None:
    """Refuse all credentials of a user; their jobs go on."""
    _told(session, session.client.users.disable(name), "disabled")


@user.command("enable")
@click.argument("name")
@output_options
@pass_session
def enable(session: Session, name: str) -> None:
    """Accept the credentials of a user again."""
    _told(session, session.client.users.enable(name), "enabled")


def _told(session: Session, user: User, what: str) -> None:
    if session.as_json:
        print_json(session, dict(user.raw))
    else:
        click.echo(f"{clean(user.name)}  {what}")


def _password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.read().rstrip("\n")
    if not sys.stdin.isatty():
        raise click.UsageError("A password can be asked for on a terminal only; elsewhere use --password-stdin.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
