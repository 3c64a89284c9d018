"""anthropic-python on one streamed message.

    python client_anthropic.py URL

On standard output, a JSON line for each event of the service: {"event": its type}, with "text" for a piece of text; then
{"text": the text of the message, "stop": why it ended}. Events that the SDK derives from those are left out.
"""

import json
import sys

import anthropic


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def main():
    client = anthropic.Anthropic(api_key="none", base_url=sys.argv[1])
    question = [{"role": "user", "content": "Do event streams survive?"}]
    with client.messages.stream(model="slow-1", max_tokens=100, messages=question) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                say({"event": event.type, "text": event.delta.text})
            elif event.type != "text":
                say({"event": event.type})
        message = stream.get_final_message()
    say({"text": message.content[0].text, "stop": message.stop_reason})


main()
