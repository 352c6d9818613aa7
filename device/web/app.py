"""Application: addresses of the page, and the answer to each."""

import json
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from device.clips.store import ClipFolder
from device.config.models import Config
from device.errors import UnavailableError
from device.history.reader import HistoryReader
from device.history.table import HISTORY_FILE
from device.level.table import LEVELS_FILE
from device.service.commands import CommandRefusedError, parse_command
from device.util.catalogue import LANGUAGES, translator
from device.util.text import slug
from device.web.day_view import parse_day, view_day
from device.web.event_view import clip_spectrogram, find_clip, is_event_id, view_event
from device.web.forms import last, read_form
from device.web.health_view import view_health
from device.web.languages import COOKIE as LANGUAGE_COOKIE
from device.web.level_view import view_levels
from device.web.live import LiveResponse, LiveStream
from device.web.metrics import CONTENT_TYPE, metrics
from device.web.node_feed import NodeFeed
from device.web.rendering import Renderer
from device.web.security import YEAR_SECONDS, Access, Guard, set_session
from device.web.teach_view import teaching_command, view_teaching
from device.web.threshold_view import view_thresholds


class Page:
    """Answers of the page. Endpoints that read files run on threads of their own.

    Args:
        config: the settings.
        token: the token of the page; None for none.
        state: folder of the history and the clips.
        feed: what the daemon publishes.
    """

    def __init__(self, config: Config, token: str | None, state: Path, feed: NodeFeed) -> None:
        self._config = config
        self._access = Access(config.web, token)
        self._renderer = Renderer(config, self._access)
        self._history = state / HISTORY_FILE
        self._levels = state / LEVELS_FILE
        self._clips = ClipFolder(state / "clips")
        self._feed = feed
        self._live = LiveStream(feed)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        application = Starlette(
            routes=[
                Route("/", self.day),
                Route("/events/{event_id}", self.event),
                Route("/events/{event_id}/clip.flac", self.clip),
                Route("/events/{event_id}/spectrogram.png", self.spectrogram),
                Route("/events/{event_id}/correct", self.correct, methods=["POST"]),
                Route("/health", self.health),
                Route("/thresholds", self.thresholds),
                Route("/thresholds", self.set_threshold, methods=["POST"]),
                Route("/teach", self.teaching),
                Route("/teach", self.teach, methods=["POST"]),
                Route("/live", self.live),
                Route("/metrics", self.metrics),
                Route("/login", self.login),
                Route("/login", self.log_in, methods=["POST"]),
                Route("/logout", self.log_out, methods=["POST"]),
                Route("/static/{name}", self.static),
            ],
            middleware=[Middleware(Guard, access=self._access)],
            exception_handlers={HTTPException: self._http_error, UnavailableError: self._unavailable},
        )
        application.router.redirect_slashes = False  # it redirects to an absolute address, without a proxy's prefix
        return application

    def day(self, request: Request) -> Response:
        """Show one day: timeline, sound level, counts, events."""
        query = request.query_params
        if query.get("language") in LANGUAGES:
            response = RedirectResponse("./", 303)
            response.set_cookie(
                LANGUAGE_COOKIE, query["language"], max_age=YEAR_SECONDS, path=None, httponly=True, samesite="lax"
            )
            return response
        try:
            day, page = parse_day(query.get("day", "")), int(query.get("page", "0")[:6])
        except ValueError as error:
            raise HTTPException(404) from error
        with HistoryReader(self._history) as reader:
            view = view_day(reader, day, query.get("label", ""), max(0, page))
        levels = view_levels(self._levels, day, self._config.level)
        return self._renderer.page(request, "day.html", view=view, levels=levels)

    def event(self, request: Request) -> Response:
        """Show one event."""
        event_id = self._event_id(request)
        with HistoryReader(self._history) as reader:
            view = view_event(reader, self._clips, event_id)
            labels = reader.labels()
        if view is None:
            raise HTTPException(404)
        is_last = self._feed.message("event").get("event_id") == event_id
        return self._renderer.page(
            request,
            "event.html",
            view=view,
            labels=sorted({*map(slug, labels), *self._feed.states("threshold")}),
            has_picture=view.clip is not None or (is_last and bool(self._feed.picture())),
            sent=request.query_params.get("sent") == "1",
        )

    def clip(self, request: Request) -> Response:
        """Send the sound of an event."""
        clip = find_clip(self._clips, self._event_id(request))
        if clip is None or not clip.path.is_file():
            raise HTTPException(404)
        return FileResponse(clip.path, media_type="audio/flac", headers={"Cache-Control": "private, no-cache"})

    def spectrogram(self, request: Request) -> Response:
        """Send the spectrogram of an event's clip, else the published one of the last event."""
        event_id = self._event_id(request)
        clip = find_clip(self._clips, event_id)
        picture = clip_spectrogram(clip) if clip else None
        if picture is None and self._feed.message("event").get("event_id") == event_id:
            picture = self._feed.picture()
        if not picture:
            raise HTTPException(404)
        return Response(picture, media_type="image/png")

    async def correct(self, request: Request) -> Response:
        """Send the correction of an event's label to the daemon."""
        event_id = self._event_id(request)
        label = last(await read_form(request), "label").strip()
        await self._send("correct", json.dumps({"event_id": event_id, "label": label}))
        return RedirectResponse(f"../{event_id}?sent=1", 303)

    def health(self, request: Request) -> Response:
        """Show the state of the device in words."""
        fault = ""
        try:
            with HistoryReader(self._history):
                pass
        except UnavailableError as error:
            fault = str(error)
        language = self._renderer.language(request)
        broker = f"{self._config.mqtt.host}:{self._config.mqtt.port}"
        findings = view_health(self._feed, broker, fault, translator(language), language)
        return self._renderer.page(request, "health.html", findings=findings)

    def thresholds(self, request: Request) -> Response:
        """Show the thresholds with what they let through."""
        with HistoryReader(self._history) as reader:
            views = view_thresholds(self._feed.states("threshold"), reader, time.time())
        sent = request.query_params.get("sent") == "1"
        return self._renderer.page(request, "thresholds.html", views=views, sent=sent)

    async def set_threshold(self, request: Request) -> Response:
        """Send a threshold to the daemon."""
        form = await read_form(request)
        value = "default" if "default" in form else last(form, "value")
        await self._send(f"threshold/{last(form, 'slug')}", value)
        return RedirectResponse("thresholds?sent=1", 303)

    def teaching(self, request: Request) -> Response:
        """Show the clips that can teach a label, and the taught labels."""
        sent = request.query_params.get("sent") == "1"
        view = view_teaching(self._clips, self._feed.message("health"))
        return self._renderer.page(request, "teach.html", view=view, sent=sent)

    async def teach(self, request: Request) -> Response:
        """Send a lesson, or the removal of a taught label, to the daemon."""
        await self._send(*teaching_command(await read_form(request)))
        return RedirectResponse("teach?sent=1", 303)

    async def live(self, request: Request) -> Response:
        """Send live values for as long as the viewer stays."""
        return LiveResponse(self._live, self._renderer.language(request))

    def metrics(self, _request: Request) -> Response:
        """Send the metrics for Prometheus."""
        return Response(metrics(self._feed), media_type=CONTENT_TYPE)

    def login(self, request: Request) -> Response:
        """Show the form for the token."""
        return self._renderer.page(request, "login.html", is_wrong=False)

    async def log_in(self, request: Request) -> Response:
        """Set the session's cookie, if the token is right."""
        if not self._access.accepts_token(last(await read_form(request), "token").strip()):
            return self._renderer.page(request, "login.html", status=403, is_wrong=True)
        response = RedirectResponse("./", 303)
        set_session(response, request, self._access.session())
        return response

    async def log_out(self, request: Request) -> Response:
        """Delete the session's cookie."""
        response = RedirectResponse("./", 303)
        set_session(response, request, "")
        return response

    def static(self, request: Request) -> Response:
        """Send the style sheet or the script."""
        response = self._renderer.static_file(request.path_params["name"])
        if response is None:
            raise HTTPException(404)
        return response

    @staticmethod
    def _event_id(request: Request) -> str:
        event_id = str(request.path_params["event_id"])
        if not is_event_id(event_id):
            raise HTTPException(404)
        return event_id

    async def _send(self, name: str, payload: str) -> None:
        """Check a command as the daemon does, and send it."""
        try:
            parse_command(name, payload.encode(), self._feed.states("threshold"))
        except CommandRefusedError as error:
            raise HTTPException(400, str(error)) from error
        await run_in_threadpool(self._feed.send_command, name, payload)

    def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = error.detail if error.status_code == 400 else ""
        return self._renderer.page(
            request, "error.html", status=error.status_code, code=error.status_code, detail=detail
        )

    def _unavailable(self, request: Request, error: Exception) -> Response:
        return self._renderer.page(request, "error.html", status=503, code=503, detail=str(error))
