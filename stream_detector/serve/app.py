"""The application: every route behind the same checks."""

import asyncio
import re
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from stream_detector.serve.allowance import ALLOWANCE, Allowance
from stream_detector.serve.app_keys import BROKER, DATABASE, DOCUMENT, EDITING, JUDGED, PIPELINE, SETTINGS, UNIQUE_IDS
from stream_detector.serve.authentication import AUTHENTICATOR, Authenticator
from stream_detector.serve.bodies import SIGNED_ROOM, TOKEN_ROOM, BodyRoom, free_body
from stream_detector.serve.broker import Broker
from stream_detector.serve.database import Database
from stream_detector.serve.former_ids import FormerIds
from stream_detector.serve.guard import Guard, add_headers
from stream_detector.serve.judged import JudgedOffsets
from stream_detector.serve.live import LIVE, Live, hold_live
from stream_detector.serve.local_session import LocalSessions
from stream_detector.serve.lookalikes import LOOKALIKES, Lookalikes
from stream_detector.serve.manual import add_manual
from stream_detector.serve.one_click import add_links
from stream_detector.serve.openapi import document
from stream_detector.serve.pages import add_pages
from stream_detector.serve.pipeline import Pipeline
from stream_detector.serve.problems import PING_FOLDER, answer_problems
from stream_detector.serve.requests import BODY_BYTES
from stream_detector.serve.resources.actions import carry_out, find_used
from stream_detector.serve.resources.pings import refuse_ping
from stream_detector.serve.resources.session import open_link
from stream_detector.serve.routes import RIGHTS, ROUTES
from stream_detector.serve.unique_ids import UniqueIdsWatch
from stream_detector.settings import Settings
from stream_detector.store.epochs import find_epoch


def make_app(settings: Settings, database: Database) -> web.Application:
    """The API and the pages. Its hold on Kafka is started and ended with the application."""
    authenticator = Authenticator(settings, database)
    guard, local = Guard(settings, authenticator, RIGHTS), LocalSessions(settings, authenticator, database)
    middlewares = [answer_problems, free_body, guard.middleware(), local.middleware(), FormerIds(database).middleware()]
    app = web.Application(middlewares=middlewares, client_max_size=BODY_BYTES)
    written = document()
    app[DATABASE], app[SETTINGS], app[DOCUMENT] = database, settings, msgspec.json.encode(written)
    app[BROKER], app[ALLOWANCE] = Broker(settings), Allowance(settings.intake_rate_limit)
    app[LIVE], app[PIPELINE] = Live(app[BROKER]), Pipeline(settings, database)
    app[AUTHENTICATOR] = authenticator
    app[UNIQUE_IDS] = UniqueIdsWatch(database, lambda actions: carry_out(app, actions))
    app[EDITING], app[LOOKALIKES] = asyncio.Lock(), Lookalikes(database)
    app[TOKEN_ROOM], app[SIGNED_ROOM] = BodyRoom(), BodyRoom()
    app[JUDGED] = JudgedOffsets(settings, lambda identity: database.query(find_epoch, identity))
    app.cleanup_ctx.extend([_hold_broker, hold_live])
    app.on_shutdown.append(_end_live)  # before the server waits for requests under way: these never end by themselves
    app.on_response_prepare.append(add_headers)
    for route in ROUTES:
        app.router.add_route(route.method, _pattern(route.path), route.handler)
    app.router.add_route("*", PING_FOLDER + "{rest:.*}", refuse_ping)  # after the routes: what is none of them
    app.router.add_get("/open/{code}", open_link, allow_head=False)  # a preview that only asks must not use it up
    add_links(app, settings, lambda action: carry_out(app, [action]), find_used=lambda ids: find_used(app, ids))
    add_manual(app, written)
    add_pages(app)
    return app


def _pattern(path: str) -> str:
    """The path for aiohttp's router. An id is none of the literals beside it: `DELETE /anomalies/trends` is a 405."""
    folder = path.removesuffix("{id}")
    if folder == path:
        return path
    siblings = sorted({each.path.removeprefix(folder) for each in ROUTES if each.path.startswith(folder)})
    literals = "|".join(re.escape(name) for name in siblings if not re.search(r"[/{]", name))
    return f"{folder}{{id:(?!(?:{literals})$)[^{{}}/]+}}" if literals else path


async def _hold_broker(app: web.Application) -> AsyncIterator[None]:
    app[BROKER].start()
    app[PIPELINE].start()
    app[UNIQUE_IDS].start()
    yield
    await app[UNIQUE_IDS].stop()
    await app[PIPELINE].stop()
    await app[BROKER].stop()
    await app[JUDGED].stop()


async def _end_live(app: web.Application) -> None:
    await app[LIVE].stop()
