"""The addresses behind the page of an event: sound and pictures, its parts as they are now, and what people change.

All of them are behind the gate. What changes something goes through `WebContext.act`, which looks up the role.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nicegui import app
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from monitor.clips.access import NoClip
from monitor.core.errors import MonitorError
from monitor.core.object_store import ObjectStoreError
from monitor.core.text import stream_folder
from monitor.normal_sound.quarantine import QUARANTINE
from monitor.notify.acknowledgement import acknowledge
from monitor.store import verdicts
from monitor.store.database import Store, StoreError
from monitor.store.event_lock import set_locked
from monitor.store.location import normal_folder
from monitor.store.queries import event_in
from monitor.store.records import StoredEvent
from monitor.web.context import WebContext
from monitor.web.event import event_html
from monitor.web.event.event_analyses import Analysis, EventAnalyses
from monitor.web.event.event_analysis import Facts, analyse
from monitor.web.event.event_media import sound_file
from monitor.web.event.event_model import find_model, paths_of
from monitor.web.event.event_view import read_view
from monitor.web.login.access import Refused
from monitor.web.login.gate import user_of

# Sound of a hall is private: neither proxies nor the browser of a shared computer keep it.
PRIVATE = {"cache-control": "no-store, private", "x-robots-tag": "noindex"}
TYPES = {".flac": "audio/flac", ".png": "image/png"}
COMPUTED = re.compile(r"(?:recorded|reconstructed|difference|normal)\.png|(?:event|normal)-(?:all|bands)\.flac")
LONGEST_BODY = 20_000  # bytes

log = logging.getLogger(__name__)
Answer = Callable[[Request], Awaitable[Response]]


def register(context: WebContext) -> None:
    """Adds the routes."""
    routes = _EventRoutes(context)
    app.add_route("/media/event/{event_id}/clip.flac", _answered(routes.clip), methods=["GET", "HEAD"])
    app.add_route("/media/event/{event_id}/analysis.json", _answered(routes.facts), methods=["GET"])
    app.add_route("/media/event/{event_id}/{name}", _answered(routes.computed), methods=["GET", "HEAD"])
    app.add_route("/event/{event_id}/parts", _answered(routes.parts), methods=["GET"])
    app.add_route("/event/{event_id}/verdict", _answered(routes.verdict), methods=["POST"])
    app.add_route("/event/{event_id}/acknowledge", _answered(routes.acknowledge), methods=["POST"])
    app.add_route("/event/{event_id}/lock", _answered(routes.lock), methods=["POST"])
    app.on_shutdown(routes.analyses.close)


class _EventRoutes:
    def __init__(self, context: WebContext) -> None:
        self._context = context
        self.analyses = EventAnalyses()

    async def clip(self, request: Request) -> Response:
        """The clip as it was recorded."""
        event = await self._context.read(lambda store: _event(store, _id(request)))
        return _file(await self._context.run(lambda: sound_file(self._context.clips, event)))

    async def facts(self, request: Request) -> Response:
        """What was computed of an event, beside pictures and sounds."""
        return JSONResponse((await self._analysis(request)).facts, headers=PRIVATE)

    async def computed(self, request: Request) -> Response:
        """A picture or a sound that was computed."""
        name = request.path_params["name"]
        if not COMPUTED.fullmatch(name):
            raise NoClip("There is no such file.")
        file = (await self._analysis(request)).folder / name
        if not await self._context.run(file.is_file):
            raise NoClip("This event has no such file.")
        return _file(file)

    async def parts(self, request: Request) -> Response:
        """The parts of the page as they are now; none of them if the browser has them."""
        made = await self._parts(request)
        if request.query_params.get("known") == made["version"]:
            return JSONResponse({"version": made["version"]}, headers=PRIVATE)
        return JSONResponse(made, headers=PRIVATE)

    async def verdict(self, request: Request) -> Response:
        """Somebody says what an event was."""
        body = await _body(request)
        verdict, comment = str(body.get("verdict", "")), str(body.get("comment", ""))
        event_id = _id(request)
        await self._context.act(
            user_of(request.scope),
            lambda store, by: verdicts.record(store, _event(store, event_id).id, verdict, by=by, comment=comment),
        )
        return JSONResponse(await self._parts(request, just_judged=bool(verdict)), headers=PRIVATE)

    async def acknowledge(self, request: Request) -> Response:
        """Somebody has seen an event."""
        event_id = _id(request)
        await self._context.act(
            user_of(request.scope), lambda store, by: acknowledge(store, [_event(store, event_id).id], by)
        )
        return JSONResponse(await self._parts(request), headers=PRIVATE)

    async def lock(self, request: Request) -> Response:
        """Somebody wants an event to be kept, or not any more."""
        locked, event_id = (await _body(request)).get("locked") is True, _id(request)
        await self._context.act(
            user_of(request.scope),
            lambda store, by: set_locked(store, _event(store, event_id).id, locked, by=by),
        )
        return JSONResponse(await self._parts(request), headers=PRIVATE)

    async def _parts(self, request: Request, *, just_judged: bool = False) -> dict[str, str]:
        event_id, may_write = _id(request), user_of(request.scope).may_write
        clips_enabled = self._context.config.clips.enabled
        view = await self._context.read(lambda store: read_view(store, _event(store, event_id).id))
        made = event_html.parts(view, may_write=may_write, clips_enabled=clips_enabled)
        made["version"] = hashlib.sha256("".join(made.values()).encode()).hexdigest()[:16]
        if just_judged:
            after = event_html.parts(view, may_write=may_write, clips_enabled=clips_enabled, just_judged=True)
            made["after"] = after["judge"]
        return made

    async def _analysis(self, request: Request) -> Analysis:
        context, event_id = self._context, _id(request)

        event = await context.read(lambda store: _event(store, event_id))

        def asked() -> tuple[Any, Callable[[Path], Facts]]:
            clip = sound_file(context.clips, event)
            normal, found = self._normal(event), clip.stat()

            def compute(out: Path) -> Facts:
                paths = context.store.use(lambda store: paths_of(store, context.config, event))
                elsewhere = "" if event.host == context.host else event.host
                model = find_model(paths, event.model_id, elsewhere=elsewhere)
                features = context.config.features if model.bundle is None else model.bundle.config.features
                facts = analyse(event, clip, model.bundle, features, normal, out)
                return facts | {"model_note": model.note}

            folders = () if normal is None else (normal, normal / QUARANTINE)
            comparable = [next(one.glob("*.flac"), None) is not None for one in folders]
            return (event.id, event.ended, found.st_mtime_ns, found.st_size, *comparable), compute

        key, compute = await context.run(asked)
        return await self.analyses.get(key, compute)

    def _normal(self, event: StoredEvent) -> Path | None:
        """The folder of normal sound of an event's stream; None if it is on another computer."""
        context = self._context
        here = event.host == context.host
        return normal_folder(context.config) / stream_folder(event.stream) if here else None


def _answered(handle: Answer) -> Answer:
    """Says errors in a sentence, as JSON, with the status that fits."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except Refused as error:
            return _problem(error, 403)
        except (NoClip, verdicts.VerdictError) as error:
            return _problem(error, 404 if isinstance(error, NoClip) else 400)
        except (StoreError, ObjectStoreError) as error:
            return _problem(error, 503)
        except MonitorError as error:
            return _problem(error, 422)
        except OSError as error:
            log.exception("%s", request.url.path)
            return _problem(MonitorError(f"{error.filename or 'A file'}: {error.strerror}."), 500)

    return answer


def _problem(error: MonitorError, status: int) -> Response:
    return JSONResponse({"problem": " ".join(error.messages)}, status, headers=PRIVATE)


def _event(store: Store, event_id: str) -> StoredEvent:
    """An event by its whole id.

    Raises:
        NoClip: if there is none.
    """
    with store.reading() as connection:
        found = event_in(connection, event_id)
    if found is None:
        raise NoClip("There is no such event; it may have become too old.")
    return found


def _id(request: Request) -> str:
    return str(request.path_params["event_id"])


def _file(path: Path) -> Response:
    return FileResponse(path, media_type=TYPES[path.suffix.lower()], headers=PRIVATE)  # with ranges, for seeking


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        VerdictError: if it is none.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LONGEST_BODY:
            raise verdicts.VerdictError("This is too long: write less.")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise verdicts.VerdictError("This is no answer that the page would send.")
    return found
