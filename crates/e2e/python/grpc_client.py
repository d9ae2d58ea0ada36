"""Makes gRPC calls as a test describes them, and tells what came of them.

    grpc_client.py ADDRESS CALLS [CA]

CALLS is a file with a JSON list; all calls are made at the same time on one connection. Each has a `method`, a `kind`, `messages`
and may have `metadata`, a `timeout` in seconds, and `cancel_after` so many messages. Prints "received MESSAGE" as they
come, and at the end a JSON list of outcomes.
"""

import json
import sys
from concurrent import futures

import grpc


def text(value):
    return value if isinstance(value, str) else value.hex()


def pairs(metadata):
    return [[key, text(value)] for key, value in metadata or ()]


def begin(channel, call):
    """Begins a call; gives an iterator of its responses, and the call itself."""
    path = "/lab.Lab/" + call["method"]
    options = {"metadata": binary(call.get("metadata", [])), "timeout": call.get("timeout")}
    messages = [message.encode() for message in call["messages"]]
    if call["kind"] == "unary":
        future = channel.unary_unary(path).future(messages[0], **options)
        return once(future), future
    if call["kind"] == "client stream":
        future = channel.stream_unary(path).future(iter(messages), **options)
        return once(future), future
    if call["kind"] == "server stream":
        responses = channel.unary_stream(path)(messages[0], **options)
        return responses, responses
    responses = channel.stream_stream(path)(iter(messages), **options)
    return responses, responses


def once(future):
    yield future.result()


def binary(metadata):
    return [(key, bytes.fromhex(value) if key.endswith("-bin") else value) for key, value in metadata]


def run(channel, call):
    responses, handle = begin(channel, call)
    received = []
    try:
        for response in responses:
            received.append(response.decode())
            # In one piece: several calls print at the same time.
            sys.stdout.write(f"received {received[-1][:80]}\n")
            sys.stdout.flush()
            if len(received) == call.get("cancel_after"):
                handle.cancel()
    except grpc.RpcError:
        pass
    except grpc.FutureCancelledError:
        pass
    return {
        "messages": received,
        "code": handle.code().value[0],
        "details": handle.details(),
        "initial": pairs(handle.initial_metadata()),
        "trailing": pairs(handle.trailing_metadata()),
    }


def main(address, calls, ca=None):
    calls = json.load(open(calls))
    if ca:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(open(ca, "rb").read()))
    else:
        channel = grpc.insecure_channel(address)
    with futures.ThreadPoolExecutor(max_workers=len(calls)) as pool:
        outcomes = list(pool.map(lambda call: run(channel, call), calls))
    print(json.dumps(outcomes), flush=True)


main(*sys.argv[1:])
