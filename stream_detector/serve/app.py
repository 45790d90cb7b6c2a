"""The application: every route behind the same checks."""

import msgspec
from aiohttp import web

from stream_detector.serve.ask import BODY_BYTES
from stream_detector.serve.database import Database
from stream_detector.serve.guard import Guard, add_headers
from stream_detector.serve.handlers import DATABASE, DOCUMENT, SETTINGS
from stream_detector.serve.openapi import document
from stream_detector.serve.pages import add_pages
from stream_detector.serve.problems import answer_problems
from stream_detector.serve.routes import ROUTES
from stream_detector.settings import Settings


def make_app(settings: Settings, database: Database) -> web.Application:
    """The API and the pages. Starts nothing."""
    app = web.Application(middlewares=[answer_problems, Guard(settings).middleware()], client_max_size=BODY_BYTES)
    written = msgspec.json.encode(document(token=bool(settings.api_token)))
    app[DATABASE], app[SETTINGS], app[DOCUMENT] = database, settings, written
    app.on_response_prepare.append(add_headers)
    for route in ROUTES:  # in order: /anomalies/trends before /anomalies/{id}
        app.router.add_route(route.method, route.path, route.handler)
    add_pages(app)
    return app
