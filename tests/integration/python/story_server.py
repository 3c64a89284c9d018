"""FastAPI with sse-starlette, which ends its lines with CRLF: the same story as node/server.js tells."""

import asyncio
from typing import Annotated

from fastapi import Body, FastAPI, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

# What is told to whoever comes for the first time. The first event's text is the client's where it posted one.
STORY = [
    {"comment": "welcome", "retry": 600, "id": "1", "data": "first"},
    {"id": "2", "event": "note", "data": "line one\nline two\n\nline four"},
    {"id": "3", "event": "note", "data": "Grüße, 世界 🎉"},
    {"comment": "an event without an id, and one without text", "data": "no id of its own"},
    {"id": "4", "event": "note", "data": ""},
]


def build(pause):
    app = FastAPI()

    async def told(events):
        for event in events:
            await asyncio.sleep(pause)
            yield ServerSentEvent(**event)
        await asyncio.sleep(pause)

    async def held(last_event_id):
        """For a client that comes back: what it named, a last word, and no end."""
        async for event in told([{"id": "5", "event": "note", "data": f"after {last_event_id}"}, {"id": "6", "data": "done"}]):
            yield event
        await asyncio.Event().wait()

    @app.get("/story")
    async def subscribe(last_event_id: Annotated[str | None, Header()] = None):
        return EventSourceResponse(told(STORY) if last_event_id is None else held(last_event_id))

    @app.post("/story")
    async def ask(title: Annotated[str, Body(embed=True)]):
        return EventSourceResponse(told([STORY[0] | {"data": title}] + STORY[1:]))

    return app
