"""A stand-in for Anthropic's messages: the events of its stream, slowly, its own `ping` among them, up to `event: message_stop`."""

import asyncio
import json

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

TOKENS = ["Event streams ", "survive: ", "Grüße, 世界 🎉\n\nand no more."]

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "slow-1",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def answer():
    yield {"type": "message_start", "message": MESSAGE}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for token in TOKENS:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}}
    yield {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": len(TOKENS)}}
    yield {"type": "message_stop"}


def build(pause):
    async def events():
        for part in answer():
            await asyncio.sleep(pause)
            yield f"event: {part['type']}\ndata: {json.dumps(part, ensure_ascii=False)}\n\n"

    async def messages(request):
        asked = await request.json()
        if not asked.get("stream"):
            error = {"type": "invalid_request_error", "message": "this server only streams"}
            return JSONResponse({"type": "error", "error": error}, status_code=400)
        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])
