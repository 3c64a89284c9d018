"""openai-python on one streamed chat completion.

    python client_openai.py URL

On standard output, a JSON line for each chunk: {"delta": …}, {"finish": …} or {"usage": …}; then {"text": all deltas}.
"""

import json
import sys

import openai


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def main():
    client = openai.OpenAI(api_key="none", base_url=f"{sys.argv[1]}/v1")
    stream = client.chat.completions.create(
        model="slow-1",
        messages=[{"role": "user", "content": "Do event streams survive?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text = ""
    for chunk in stream:
        for choice in chunk.choices:
            if choice.finish_reason:
                say({"finish": choice.finish_reason})
            else:
                say({"delta": choice.delta.content})
                text += choice.delta.content
        if chunk.usage:
            say({"usage": chunk.usage.total_tokens})
    say({"text": text})


main()
