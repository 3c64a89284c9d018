"""A stand-in for OpenAI's chat completions: the events of its stream, slowly, and `data: [DONE]` at the end."""

import asyncio
import json

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

TOKENS = ["Event streams ", "survive: ", "Grüße, 世界 🎉\n\nand no more."]


def chunk(choices, **more):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767225600, "model": "slow-1"}
    return head | {"choices": choices} | more


def choice(delta, finish_reason=None):
    return [{"index": 0, "delta": delta, "finish_reason": finish_reason}]


def answer():
    yield chunk(choice({"role": "assistant", "content": ""}))
    for token in TOKENS:
        yield chunk(choice({"content": token}))
    yield chunk(choice({}, "stop"))
    yield chunk([], usage={"prompt_tokens": 3, "completion_tokens": len(TOKENS), "total_tokens": 3 + len(TOKENS)})


def build(pause):
    async def events():
        for part in answer():
            await asyncio.sleep(pause)
            yield f"data: {json.dumps(part, ensure_ascii=False)}\n\n"
        await asyncio.sleep(pause)
        yield "data: [DONE]\n\n"

    async def completions(request):
        asked = await request.json()
        if not asked.get("stream"):
            return JSONResponse({"error": {"message": "this server only streams"}}, status_code=400)
        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])
