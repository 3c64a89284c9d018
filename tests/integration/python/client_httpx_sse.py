"""httpx-sse on one stream, to its end.

    python client_httpx_sse.py GET|POST URL [JSON [COUNT]]

On standard output, a JSON line for each event, {"type": …, "id": …, "data": …}, then {"end": true}. With COUNT it leaves after so many
lines.
"""

import json
import sys

import httpx
from httpx_sse import connect_sse


def main():
    method, url, body, *count = sys.argv[1:] + [""] * (4 - len(sys.argv))
    most = int(count[0]) if count else None
    asked = {"content": body, "headers": {"Content-Type": "application/json"}} if body else {}
    with httpx.Client(timeout=30, trust_env=False) as client, connect_sse(client, method, url, **asked) as source:
        source.response.raise_for_status()
        for n, event in enumerate(source.iter_sse(), 1):
            print(json.dumps({"type": event.event, "id": event.id, "data": event.data}, ensure_ascii=False), flush=True)
            if n == most:
                return
    print(json.dumps({"end": True}), flush=True)


main()
