"""An MCP server with the Python SDK: one tool that takes its time and says how far it is, over either transport."""

import asyncio

from mcp.server.mcpserver import Context, MCPServer

STEPS = ["reading", "sorting", "schön geschrieben"]


def build(pause, transport):
    """`sse` is the older HTTP+SSE transport, `http` streamable HTTP, `json` the same with JSON instead of streams for answers."""
    server = MCPServer("slow tools")

    @server.tool()
    async def report(title: str, context: Context) -> str:
        """Writes a report, slowly."""
        for done, step in enumerate(STEPS, 1):
            await asyncio.sleep(pause)
            await context.report_progress(done, len(STEPS), step)
        await asyncio.sleep(pause)
        # Belongs to no request: it comes on the stream that the client keeps open beside its requests.
        if context.session.protocol_version < "2026":
            await context.session.send_tool_list_changed()
        else:
            await context.notify_tools_changed()
        await asyncio.sleep(pause)
        return f"{title}:\n\n" + "\n".join(STEPS)

    match transport:
        case "sse":
            return server.sse_app()
        case "http":
            return server.streamable_http_app()
        case "json":
            return server.streamable_http_app(json_response=True)
        case _:
            raise ValueError(f"no such transport: {transport}")
