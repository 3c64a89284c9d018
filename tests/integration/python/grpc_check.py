"""gRPC over a proxy, with bytes for messages, so that no code has to be generated.

    python grpc_check.py serve           runs a server on a free port; on standard output: {"port": N}, then a line for each call that ended
    python grpc_check.py call ADDRESS    makes calls of every kind; on standard output: a line for each kind that went well

Any call that goes wrong ends `call` with a traceback and a code other than 0.
"""

import hashlib
import json
import queue
import sys
import threading
from concurrent import futures

import grpc

SERVICE = "check.Check"
# Everything here answers at once: this is only there to fail.
DEADLINE = 30
# Below the four megabytes that gRPC takes for a message, above every window and buffer on the way.
LARGE = bytes(range(256)) * (3 * 4096)


def say(**fields):
    print(json.dumps(fields), flush=True)


# The server.


def unary(request, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-seen", metadata.get("x-sent", "")),))
    context.set_trailing_metadata((("x-trailer", "kept"), ("x-bytes-bin", bytes(range(256)))))
    return request.upper()


def digest(request, context):
    return hashlib.sha256(request).digest() + request


def count(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def add(requests, context):
    return b"%d" % sum(int(request) for request in requests)


def ping_pong(requests, context):
    for request in requests:
        yield b"pong " + request


def fail(request, context):
    context.set_trailing_metadata((("x-reason", "on purpose"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e9%")


def fail_later(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "after one")


def wait(request, context):
    """Says one thing, then nothing until the call is over."""
    over = threading.Event()
    context.add_callback(over.set)
    yield b"begun"
    ended = over.wait(DEADLINE)
    say(call=request.decode(), over=ended)


def wait_unanswered(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    ended = over.wait(DEADLINE)
    say(call=request.decode(), over=ended)
    return b""


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Digest": grpc.unary_unary_rpc_method_handler(digest),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Add": grpc.stream_unary_rpc_method_handler(add),
    "PingPong": grpc.stream_stream_rpc_method_handler(ping_pong),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLater": grpc.unary_stream_rpc_method_handler(fail_later),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
    "WaitUnanswered": grpc.unary_unary_rpc_method_handler(wait_unanswered),
}


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, HANDLERS),))
    say(port=server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


# The client.


def method(name):
    return f"/{SERVICE}/{name}"


def check_unary(channel):
    response, call = channel.unary_unary(method("Unary")).with_call(b"hello", timeout=DEADLINE, metadata=(("x-sent", "there"),))
    assert response == b"HELLO", response
    assert dict(call.initial_metadata())["x-seen"] == "there", call.initial_metadata()
    trailers = dict(call.trailing_metadata())
    assert trailers["x-trailer"] == "kept" and trailers["x-bytes-bin"] == bytes(range(256)), trailers


def check_large_messages_both_ways(channel):
    response = channel.unary_unary(method("Digest"))(LARGE, timeout=DEADLINE)
    assert response == hashlib.sha256(LARGE).digest() + LARGE, len(response)


def check_compressed_messages(channel):
    response = channel.unary_unary(method("Digest"))(LARGE, timeout=DEADLINE, compression=grpc.Compression.Gzip)
    assert response[32:] == LARGE, len(response)


def check_server_streaming(channel):
    numbers = list(channel.unary_stream(method("Count"))(b"5000", timeout=DEADLINE))
    assert numbers == [b"%d" % number for number in range(5000)], len(numbers)


def check_client_streaming(channel):
    numbers = (b"%d" % number for number in range(5000))
    total = channel.stream_unary(method("Add"))(numbers, timeout=DEADLINE)
    assert total == b"%d" % sum(range(5000)), total


def check_bidirectional_in_lockstep(channel):
    """Each message waits for the answer to the one before it: whoever holds one back holds up all."""
    outgoing = queue.Queue()
    incoming = channel.stream_stream(method("PingPong"))(iter(outgoing.get, None), timeout=DEADLINE)
    for number in range(200):
        outgoing.put(b"%d" % number)
        assert next(incoming) == b"pong %d" % number
    outgoing.put(None)
    assert list(incoming) == []


def check_many_calls_at_once(channel):
    calls = [channel.unary_unary(method("Unary")).future(b"%d" % number, timeout=DEADLINE) for number in range(300)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(300)]


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it went well")


def check_error_status(channel):
    error = error_of(lambda: channel.unary_unary(method("Fail"))(b"", timeout=DEADLINE))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing: \u00e9%"), error
    assert dict(error.trailing_metadata())["x-reason"] == "on purpose", error


def check_error_status_after_messages(channel):
    responses = channel.unary_stream(method("FailLater"))(b"", timeout=DEADLINE)
    assert next(responses) == b"one"
    error = error_of(lambda: next(responses))
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "after one"), error


def check_unknown_method(channel):
    error = error_of(lambda: channel.unary_unary(method("Nothing"))(b"", timeout=DEADLINE))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def check_deadline_exceeded(channel):
    responses = channel.unary_stream(method("Wait"))(b"deadline", timeout=1)
    assert next(responses) == b"begun"
    error = error_of(lambda: next(responses))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def check_cancelled_while_it_streams(channel):
    responses = channel.unary_stream(method("Wait"))(b"cancelled", timeout=DEADLINE)
    assert next(responses) == b"begun"
    responses.cancel()
    error = error_of(lambda: next(responses))
    assert error.code() == grpc.StatusCode.CANCELLED, error


def check_deadline_before_any_answer(channel):
    error = error_of(lambda: channel.unary_unary(method("WaitUnanswered"))(b"unanswered", timeout=1))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def call(address):
    # No proxy of the environment, and a connection of its own.
    options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    checks = [(name, check) for name, check in globals().items() if name.startswith("check_")]
    with grpc.insecure_channel(address, options=options) as channel:
        for name, check in checks:
            check(channel)
            say(ok=name.removeprefix("check_"))
    say(done=len(checks))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["call", address]:
            call(address)
        case _:
            sys.exit(__doc__)
