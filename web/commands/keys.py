"""The commands `calotype keys …`: who may use the service.

They change the catalogue itself, beside the service if that is running; it notices at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec
import structlog
from rich.console import Console
from rich.table import Table

from actors.storage.audit import Act
from actors.storage.credentials import SCOPES, Key, NewKey, Scope
from actors.storage.opening import view_catalogue
from web.bounds import PARSERS, limits_text, read_limits
from web.commands.beside import change_beside, checked_tenant, complaining, user_name
from web.commands.options import Duration
from web.logs import configure_logs
from web.settings import read_settings
from web.tokens import ID_BYTES, Token, make_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.storage.audit import Action
    from actors.storage.ports import Catalogue

T = TypeVar("T")
C = TypeVar("C", bound="Callable[..., object]")

log = structlog.get_logger("calotype.keys")

LONGEST_NAME = 100
DEFAULT = "default"  # what takes a limit away that a key has of its own


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value.isprintable() or len(value) > LONGEST_NAME:
        raise click.BadParameter(f"Use up to {LONGEST_NAME} characters that can be printed.")
    return value


def _limits(
    _context: click.Context, _parameter: click.Parameter, said: tuple[str, ...]
) -> dict[str, str]:
    own: dict[str, str] = {}
    for each in said:
        name, is_set, text = each.partition("=")
        if name not in PARSERS or not is_set:
            raise click.BadParameter(
                f"{each!r} is none of {', '.join(PARSERS)}, with = and a value."
            )
        if name in own:
            raise click.BadParameter(f"{name} is limited twice.")
        try:
            own[name] = text if text == DEFAULT else _checked(name, text)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error
    return own


def _checked(name: str, text: str) -> str:
    PARSERS[name](text)
    return text


def _with(limits: str | None, said: dict[str, str]) -> str | None:
    """Return the limits of a key when these are changed."""
    own = read_limits(limits) | said
    return limits_text({name: text for name, text in own.items() if text != DEFAULT})


def limit_option(*, required: bool) -> Callable[[C], C]:
    """Give a command the option `--limit`; it gets what was said as `limits`, by name."""
    return click.option(
        "--limit",
        "limits",
        multiple=True,
        required=required,
        metavar="NAME=LIMIT",
        callback=_limits,
        help="requests=100/1m, bytes=500M/1h, jobs=20 or pixels=10G; off, or default. Can be "
        "repeated.",
    )


def _lifetime(
    _context: click.Context, _parameter: click.Parameter, value: timedelta | None
) -> timedelta | None:
    if value is not None and not value:
        raise click.BadParameter("A key that has expired already is of no use.")
    return value


@click.group()
def keys() -> None:
    """Make, list and revoke the keys to the service.

    They are in the catalogue that the settings name. A running service notices within a second.
    """


@keys.command()
@click.option("--tenant", metavar="NAME", callback=checked_tenant, help="Whose jobs it opens.")
@click.option("--no-tenant", is_flag=True, help="It opens the jobs that were made without a key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may be used for. Can be repeated.",
)
@click.option("--name", default="", callback=_name, help="To tell it from others.")
@click.option("--expires", type=Duration(), callback=_lifetime, help="After 30d, for example.")
@limit_option(required=False)
def create(
    *,
    tenant: str | None,
    no_tenant: bool,
    scopes: tuple[str, ...],
    name: str,
    expires: timedelta | None,
    limits: dict[str, str],
) -> None:
    """Make a key, and print it. It is shown this once: nobody can find it again."""
    if (tenant is None) != no_tenant:
        raise click.UsageError("Name a --tenant, or say --no-tenant.")
    now, token = datetime.now(UTC), make_token()
    chosen = [scope for scope in SCOPES if scope in scopes]
    ends_at = None if expires is None else now + expires
    new = _new(token, tenant or "", tuple(chosen), name, ends_at, _with(None, limits))
    key = _change(lambda catalogue: catalogue.keys.add(new, now), partial(_act, "key_created"))
    click.echo(token)
    log.info("key_created", **_told(key))


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them for programs.")
def list_keys(*, as_json: bool) -> None:
    """List every key there ever was, with what is known of it; never the key itself."""
    now = datetime.now(UTC)
    with complaining(), view_catalogue(read_settings().db_path) as catalogue:
        found = catalogue.keys.list_all()
    if as_json:
        click.echo(msgspec.json.encode([_told(key) | {"state": _state(key, now)} for key in found]))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=2 * ID_BYTES)
    for heading in ("tenant", "scopes", "name", "created", "expires", ""):
        table.add_column(heading)
    limits = [
        "\n".join(f"{name}={text}" for name, text in read_limits(key.limits).items())
        for key in found
    ]
    if any(limits):
        widest = max(len(line) for text in limits for line in text.split("\n"))
        table.add_column("limits", no_wrap=True, min_width=widest)
    for key, own in zip(found, limits, strict=True):
        created, expires = _minute(key.created_at), _minute(key.expires_at)
        scopes = " ".join(key.scopes)
        told = (key.id, key.tenant, scopes, key.name, created, expires, _state(key, now), own)
        table.add_row(*told[: len(table.columns)])
    Console(soft_wrap=True, markup=False).print(table)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """Have a key open nothing any more."""
    now = datetime.now(UTC)
    key = _change(
        lambda catalogue: catalogue.keys.revoke(key_id, now), partial(_act, "key_revoked")
    )
    log.info("key_revoked", **_told(key))


@keys.command()
@click.argument("key_id", metavar="ID")
@limit_option(required=True)
def limit(key_id: str, limits: dict[str, str]) -> None:
    """Change how much a key may be used. What is not named stays as it is."""

    def limit_it(catalogue: Catalogue) -> Key:
        return catalogue.keys.limit(key_id, _with(catalogue.keys.find(key_id).limits, limits))

    key = _change(limit_it, partial(_act, "key_limited"))
    log.info("key_limited", **_told(key))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace",
    type=Duration(),
    default="1h",
    show_default=True,
    help="For how long the old key is good.",
)
@click.option(
    "--expires",
    type=Duration(),
    callback=_lifetime,
    help="When the new key expires.  [default: after as long as the old one was made for]",
)
def rotate(*, key_id: str, grace: timedelta, expires: timedelta | None) -> None:
    """Make a new key in the place of another, and print it. It opens the same."""
    now, token = datetime.now(UTC), make_token()

    def rotate_it(catalogue: Catalogue) -> Key:
        old = catalogue.keys.find(key_id)
        if not old.is_good(now):
            raise click.ClickException(f"Key {key_id} is {_state(old, now)}; make another.")
        ends_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        if expires is not None:
            ends_at = now + expires
        new = _new(token, old.tenant, old.scopes, old.name, ends_at, old.limits)
        catalogue.keys.expire(key_id, now + grace)
        return catalogue.keys.add(new, now)

    key = _change(
        rotate_it,
        partial(_act, "key_rotated", replaced=key_id, grace=f"{grace.total_seconds():g}s"),
    )
    click.echo(token)
    log.info("key_rotated", replaced=key_id, grace=str(grace), **_told(key))


@keys.command("revoke-links")
def revoke_links() -> None:
    """Have no signed link work that was made so far. Keys are not touched."""
    _change(
        lambda catalogue: catalogue.keys.forget_link_secret(),
        lambda _: Act(action="links_revoked", subject="links", tenant="", user=user_name()),
    )
    log.info("links_revoked")


def _new(
    token: Token,
    tenant: str,
    scopes: tuple[Scope, ...],
    name: str,
    ends_at: datetime | None,
    limits: str | None,
) -> NewKey:
    return NewKey(
        id=token.key_id,
        digest=token.digest,
        tenant=tenant,
        scopes=scopes,
        name=name,
        expires_at=ends_at,
        limits=limits,
    )


def _change(call: Callable[[Catalogue], T], act: Callable[[T], Act]) -> T:
    """Change the catalogue, and note the act, in one transaction; or say why not, and end with 1.

    `act` is given what `call` returns.
    """
    settings, now = read_settings(), datetime.now(UTC)

    def change(catalogue: Catalogue) -> T:
        done = call(catalogue)
        catalogue.audit.note(act(done), now, settings.audit)
        return done

    configure_logs(settings.log_format, settings.log_level)
    return change_beside(settings.db_path, change)


def _act(action: Action, key: Key, **details: str) -> Act:
    about = {"scopes": ",".join(key.scopes), "name": key.name, "limits": key.limits or ""}
    if key.expires_at:
        about["expires_at"] = key.expires_at.isoformat()
    said = {name: value for name, value in (about | details).items() if value}
    return Act(action=action, subject=key.id, tenant=key.tenant, user=user_name(), details=said)


def _told(key: Key) -> dict[str, object]:
    """Return what may be known of a key: neither it nor its digest."""
    return {
        "key_id": key.id,
        "tenant": key.tenant,
        "scopes": list(key.scopes),
        "name": key.name,
        "limits": read_limits(key.limits),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else ""


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at:
        return "revoked"
    return "good" if key.is_good(now) else "expired"
