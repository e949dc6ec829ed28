"""The users of the page, for admins: who they are, what they may do; and for everybody: another password."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Annotated

from fastapi import Form, Request
from nicegui import app, ui
from starlette.responses import RedirectResponse, Response

from monitor.core.errors import MonitorError
from monitor.store.database import Store
from monitor.web.context import WebContext
from monitor.web.frame import PATIENCE_S, page_frame
from monitor.web.login import users
from monitor.web.login.gate import user_of
from monitor.web.login.users import ROLES, Role, StoredUser, User, UserError

PATH = "/users"
Text = Annotated[str, Form()]


def register(context: WebContext) -> None:
    """Adds the page `/users`, and what its forms send."""

    answers: dict[str, str] = {}  # by the user who sent a form, until their page shows it

    @ui.page(PATH, response_timeout=PATIENCE_S)
    async def show() -> None:
        with page_frame(context, "Users", here=PATH) as user:
            said = answers.pop(user.name, "")
            try:
                known = await context.read(users.all_users) if user.may("admin") else None
            except MonitorError as error:
                known, said = None, str(error)
            ui.html(_content(user, known, said), sanitize=False)

    async def done(request: Request, work: Callable[[Store, str], str], needs: Role = "admin") -> Response:
        """Does something for the user of a request, and says what came of it on the page."""
        user = user_of(request.scope)
        try:
            answers[user.name] = await context.act(user, work, needs=needs)
        except MonitorError as error:
            answers[user.name] = str(error)
        return RedirectResponse(PATH, 303)

    @app.post(f"{PATH}/add")
    async def add(request: Request, name: Text = "", role: Text = "", password: Text = "") -> Response:
        def work(store: Store, by: str) -> str:
            users.add_user(store, name.strip(), _role(role), password, by=by)
            return f"Added {name.strip()}, {role}."

        return await done(request, work)

    @app.post(f"{PATH}/change")
    async def change(
        request: Request, name: Text = "", action: Text = "", role: Text = "", password: Text = ""
    ) -> Response:
        def work(store: Store, by: str) -> str:
            if action == "role":
                _keep_an_admin(store, name, _role(role))
                users.set_role(store, name, _role(role), by=by)
                return f"{name} is {role} now."
            if action == "remove":
                _keep_an_admin(store, name, None)
                users.remove_user(store, name, by=by)
                return f"Removed {name}."
            users.set_password(store, name, password, by=by)
            return f"{name} has another password now, and has to log in with it."

        return await done(request, work)

    @app.post(f"{PATH}/own-password")
    async def own_password(request: Request, old: Text = "", password: Text = "") -> Response:
        def work(store: Store, by: str) -> str:
            if not users.is_password_of(store, by, old):
                raise UserError("This is not your present password.")
            users.set_password(store, by, password, by=by)
            return "You have another password now."

        return await done(request, work, "viewer")


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise UserError(f"There is no role {text}: choose one of {', '.join(ROLES)}.")


def _keep_an_admin(store: Store, name: str, role: Role | None) -> None:
    """Refuses to leave the page without an admin; on the command line it is possible."""
    others = [one for one in users.all_users(store) if one.role == "admin" and one.name != name]
    if role != "admin" and not others and users.role_of(store, name) == "admin":
        raise UserError(f"{name} is the only admin: make somebody else an admin first.")


def _content(user: User, known: list[StoredUser] | None, said: str) -> str:
    parts = ["<h1>Users</h1>", f'<p class="panel" role="status">{html.escape(said)}</p>' if said else ""]
    if known is None:
        parts.append(f'<p class="muted">{html.escape(user.name)}, {user.role}. Admins see all users here.</p>')
    else:
        rows = "".join(_row(one) for one in known)
        none = "There are no users: nobody has to log in, and only this computer reaches the page."
        parts.append(f'<div class="panel users">{rows or none}</div>' + _ADD)
    if user.session:
        parts.append(_OWN)
    return f'<div class="people">{"".join(parts)}</div>'


def _row(one: StoredUser) -> str:
    name = html.escape(one.name)
    roles = "".join(f"<option{' selected' if role == one.role else ''}>{role}</option>" for role in ROLES)
    note = "" if one.has_password else '<span class="muted">logged in by a proxy</span>'
    return f"""<form method="post" action="{PATH}/change"><input type="hidden" name="name" value="{name}">
<b>{name}</b>{note}<span class="grow"></span>
<input class="field" type="password" name="password" placeholder="New password" autocomplete="new-password"
 aria-label="New password of {name}">
<button class="button" name="action" value="password">Change password</button>
<select class="field" name="role" aria-label="Role of {name}">{roles}</select>
<button class="button" name="action" value="role">Change role</button>
<button class="button" name="action" value="remove">Remove</button></form>"""


_ADD = f"""<h2>Add a user</h2><form class="panel" method="post" action="{PATH}/add">
<input class="field" name="name" placeholder="Name" aria-label="Name" required maxlength="60" autocomplete="off">
<select class="field" name="role" aria-label="Role">{"".join(f"<option>{role}</option>" for role in ROLES)}</select>
<input class="field" type="password" name="password" placeholder="Password (8 or more)" aria-label="Password"
 required autocomplete="new-password"><button class="button main">Add</button></form>"""
_OWN = f"""<h2>Your password</h2><form class="panel" method="post" action="{PATH}/own-password">
<input class="field" type="password" name="old" placeholder="Present password" aria-label="Present password" required
 autocomplete="current-password"><input class="field" type="password" name="password" placeholder="New password"
 aria-label="New password" required autocomplete="new-password"><button class="button">Change</button></form>
<p class="muted">You have to log in again with it, here and everywhere.</p>"""
