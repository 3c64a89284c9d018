"""The MCP Python SDK's client in one session: it asks for the tools, calls one that takes its time, and leaves.

    python client_mcp.py sse|http|modern URL

`sse` speaks the older HTTP+SSE transport, `http` streamable HTTP with a session as of 2025, `modern` the protocol of 2026, which
has none. On standard output, a JSON line each: {"protocol": …}, {"tools": […]}, {"progress": …, "of": …, "text": …}, {"changed": …} for
what the server says outside of answers, {"result": …}; and {"error": …} for what the SDK hands over or logs beside those.
"""

import asyncio
import contextlib
import json
import logging
import sys

from mcp import Client
from mcp.client.sse import sse_client


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


class Says(logging.Handler):
    """What the SDK would rather log than raise: an event that it cannot parse, a stream that it lost."""

    def emit(self, record):
        say({"error": record.getMessage()})


async def progress(done, total, text):
    say({"progress": done, "of": total, "text": text})


async def message(what):
    if isinstance(what, Exception):
        say({"error": repr(what)})
    elif what.method != "notifications/progress":  # those went to the callback
        say({"changed": what.method})


async def listen(client, heard):
    async with client.listen(tools_list_changed=True) as changes:
        heard.set()
        async for change in changes:
            say({"changed": type(change).__name__})


async def main():
    kind, url = sys.argv[1:]
    logging.getLogger().addHandler(Says(logging.WARNING))
    server = sse_client(f"{url}/sse") if kind == "sse" else f"{url}/mcp"
    # No cache: what the client says it got, it got from the server.
    client = Client(server, mode="auto" if kind == "modern" else "legacy", message_handler=message, cache=None)
    async with client:
        say({"protocol": client.protocol_version})
        listener = None
        if kind == "modern":
            heard = asyncio.Event()
            listener = asyncio.create_task(listen(client, heard))
            await heard.wait()
        say({"tools": [tool.name for tool in (await client.list_tools()).tools]})
        result = await client.call_tool("report", {"title": "Grüße, 世界"}, progress_callback=progress)
        say({"result": result.content[0].text, "failed": result.is_error})
        if listener:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener


asyncio.run(main())
