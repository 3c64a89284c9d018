"""Runs one of the servers on a free port, for the other edge of a proxy.

    python serve.py story|openai|anthropic|mcp-sse|mcp-http|mcp-json PAUSE

PAUSE is in milliseconds: how long each server is silent before each thing that it says. On standard output: {"port": N}.
"""

import importlib
import json
import socket
import sys

import uvicorn


def main():
    kind, pause = sys.argv[1], int(sys.argv[2]) / 1000
    module, _, variant = kind.partition("-")
    build = importlib.import_module(f"{module}_server").build
    app = build(pause, variant) if variant else build(pause)
    # The protocol is named so that asyncio knows the sockets as TCP and turns Nagle's algorithm off, as it does on its own.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        # From here on connections are taken, if only to wait for the server's start.
        listener.listen()
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


main()
