"""`monitor web` serves the page in a browser, and keeps the users who may use it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import settings_of, store_options
from monitor.cli.options import FILE, Command
from monitor.cli.output import say
from monitor.core.errors import EXIT_OK, ConfigError
from monitor.core.user_name import user_name

if TYPE_CHECKING:
    from monitor.store.database import Store
    from monitor.web.login.users import Role

ROLES = ("viewer", "operator", "admin")  # as monitor.web.login.users.ROLES, which is too slow to import for --help
LIBRARIES = ("nicegui", "fastapi", "uvicorn", "starlette")


@click.group(invoke_without_command=True)
@click.option("--address", help="Address to listen on.  [default: web.address]")
@click.option("--port", type=click.IntRange(1, 65_535), help="TCP port to listen on.  [default: web.port]")
@store_options
@click.pass_context
def web(
    context: click.Context, address: str | None, port: int | None, state: Path | None, config_file: Path | None
) -> None:
    """Serve the page in a browser: all streams, one stream, one event. It ends with Ctrl-C.

    It is a process of its own beside `monitor live`, which it does not disturb. Without users it can be reached from
    this computer only; with --address 0.0.0.0 from others, as soon as there are users.

    \b
    Examples:
      monitor web
      monitor web user add anna --role admin
      monitor web --address 0.0.0.0 --port 8090
    """
    if context.invoked_subcommand is not None:
        if address is not None or port is not None or state is not None or config_file is not None:
            raise ConfigError(f"Options follow the command: monitor web {context.invoked_subcommand} … --state FOLDER.")
        return
    config = settings_of(state, config_file)
    changes = {key: value for key, value in (("address", address), ("port", port)) if value is not None}
    config = config.model_copy(update={"web": config.web.model_copy(update=changes)})
    from monitor.web.context import WebContext
    from monitor.web.listener import is_local, listening, url_of

    with listening(config.web.address, config.web.port) as listener:
        page = WebContext(config, local=is_local(listener))
        page.access.require_login()
        try:
            from monitor.web.server import serve
        except ModuleNotFoundError as error:
            if error.name not in LIBRARIES:
                raise
            raise ConfigError("The page needs NiceGUI: pip install 'acoustic-monitor[web]'.") from None
        closed = serve(page, listener, started=lambda: say(f"The page is at {url_of(listener)} (Ctrl-C ends it)."))
    if not closed:  # a database that does not answer would keep the interpreter's exit waiting for half a minute
        sys.stdout.flush()
        os._exit(EXIT_OK)


@web.group()
def user() -> None:
    """Users of the page: add, list, change and remove them. A password is never given on the command line."""


def _password_option(command: Command) -> Command:
    return click.option(
        "--password-file", type=FILE, help="File whose first line is the password.  [default: it is asked for]"
    )(command)


_role_option = click.option(
    "--role", type=click.Choice(ROLES), required=True,
    help="What the user may do: look; also acknowledge, judge and mute; also keep users.",
)  # fmt: skip


@user.command("add")
@click.argument("name")
@_role_option
@click.option("--proxy-only", is_flag=True, help="Without a password: only a proxy (web.proxy) logs this user in.")
@_password_option
@store_options
def add(
    name: str, role: Role, proxy_only: bool, password_file: Path | None, state: Path | None, config_file: Path | None
) -> None:
    """Add a user. The password is asked for twice, or read from a file or from standard input."""
    from monitor.web.login import users

    users.require_name(name)
    with _store(state, config_file) as store:
        password = None if proxy_only else _password(password_file)
        users.add_user(store, name, role, password, by=user_name())
    say(f"Added {name}, {role}.")


@user.command("list")
@store_options
def list_users(state: Path | None, config_file: Path | None) -> None:
    """List the users, with their roles."""
    from monitor.web.login import users

    with _store(state, config_file) as store:
        found = users.all_users(store)
    if not found:
        say("There are no users: the page can be reached from this computer only.")
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        say(f"{one.name:{width}}  {one.role:8}{'' if one.has_password else '  logged in by a proxy'}".rstrip())


@user.command("role")
@click.argument("name")
@_role_option
@store_options
def role(name: str, role: Role, state: Path | None, config_file: Path | None) -> None:
    """Give a user another role. It counts at once, also for pages that are open."""
    from monitor.web.login import users

    with _store(state, config_file) as store:
        users.set_role(store, name, role, by=user_name())
    say(f"{name} is {role} now.")


@user.command("password")
@click.argument("name")
@_password_option
@store_options
def password(name: str, password_file: Path | None, state: Path | None, config_file: Path | None) -> None:
    """Give a user another password, and log them out everywhere."""
    from monitor.web.login import users

    with _store(state, config_file) as store:
        users.require_user(store, name)
        users.set_password(store, name, _password(password_file), by=user_name())
    say(f"{name} has another password now, and has to log in with it.")


@user.command("remove")
@click.argument("name")
@store_options
def remove(name: str, state: Path | None, config_file: Path | None) -> None:
    """Remove a user, and log them out everywhere."""
    from monitor.web.login import users

    with _store(state, config_file) as store:
        users.remove_user(store, name, by=user_name())
    say(f"Removed {name}.")


def _store(state: Path | None, config_file: Path | None) -> Store:
    """The store, which is created if `monitor live` has not run yet."""
    from monitor.store.database import Store
    from monitor.store.location import state_folder, store_url

    config = settings_of(state, config_file)
    state_folder(config).mkdir(parents=True, exist_ok=True)
    return Store.open(store_url(config))


def _password(file: Path | None) -> str:
    """The password from a file, from the terminal, where it is asked for twice and not shown, or from standard input.

    Raises:
        ConfigError: if there is none.
    """
    if file is not None:
        found = file.read_text(encoding="utf-8").split("\n")[0]
    elif sys.stdin is not None and sys.stdin.isatty():
        found = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        found = sys.stdin.readline() if sys.stdin is not None else ""
    found = found.rstrip("\r\n")
    if not found:
        raise ConfigError(f"{file or 'standard input'}: there is no password in the first line.")
    return found
