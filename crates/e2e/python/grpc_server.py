"""A gRPC server whose methods do what a test asks for. Messages are plain bytes.

    grpc_server.py [CERTIFICATE KEY]

Prints "listening on ADDRESS", and what happens to the calls that it holds.
"""

import json
import sys
import threading
from concurrent import futures

import grpc

CALLS_AT_A_TIME = 64

# Where this server listens, once it does.
address = None


def say(what):
    print(what, flush=True)


def return_metadata(context):
    """Sends fields of the test back: those of `x-` before the messages, those of `y-` behind them."""
    received = [(key, value) for key, value in context.invocation_metadata()]
    context.send_initial_metadata([pair for pair in received if pair[0].startswith("x-")])
    context.set_trailing_metadata([pair for pair in received if pair[0].startswith("y-")])


def echo(message, context):
    return_metadata(context)
    return message


def describe(_, context):
    """What the server was told about the call."""
    told = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    told["remaining"] = context.time_remaining()
    return json.dumps(told).encode()


def fail(message, context):
    wish = json.loads(message)
    context.set_trailing_metadata([("grpc-status-details-bin", bytes.fromhex(wish.get("details", "")))])
    code = next(code for code in grpc.StatusCode if code.value[0] == wish["code"])
    context.abort(code, wish.get("message", ""))


def fail_here(message, context):
    """Is unavailable if the message is the address of this server."""
    if message.decode() == address:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not here")
    return address.encode()


def collect(messages, context):
    return_metadata(context)
    return b"+".join(messages)


def count(message, context):
    return_metadata(context)
    for number in range(int(message)):
        yield str(number).encode()


def chat(messages, context):
    return_metadata(context)
    for message in messages:
        yield b"re: " + message


def hold(message, context):
    """Answers once, and then no more until the call is given up."""
    given_up = threading.Event()

    def end():
        # Not below: a call that is given up early enough never comes back here.
        say(f"given up {message.decode()}")
        given_up.set()

    context.add_callback(end)
    say(f"holding {message.decode()}")
    if message != b"silently":
        yield message
    given_up.wait()


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Describe": grpc.unary_unary_rpc_method_handler(describe),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailHere": grpc.unary_unary_rpc_method_handler(fail_here),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Hold": grpc.unary_stream_rpc_method_handler(hold),
}


def main(arguments):
    global address
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=CALLS_AT_A_TIME))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Lab", METHODS),))
    if arguments:
        chain, key = (open(path, "rb").read() for path in arguments)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = f"127.0.0.1:{port}"
    say(f"listening on {address}")
    server.wait_for_termination()


main(sys.argv[1:])
