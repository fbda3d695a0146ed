"""What every plugin does: the introduction on stdout, and the services that have nothing to do with tasks."""

import os
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc

from drover.plugin.base.v1 import base_pb2 as base

COOKIE = ("NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255")

# Calls that wait for tasks and streams hold a thread each for as long as they last.
THREADS = 512


def unary(f, request, response):
    return grpc.unary_unary_rpc_method_handler(f, request.FromString, response.SerializeToString)


def streaming(f, request, response):
    return grpc.unary_stream_rpc_method_handler(f, request.FromString, response.SerializeToString)


def raw(f):
    """A method whose messages are so small that they are written as bytes."""
    return grpc.unary_unary_rpc_method_handler(f, bytes, bytes)


def until_gone(context):
    """Waits until the caller has left."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait()


def fail(context, text):
    context.abort(grpc.StatusCode.UNKNOWN, text)


def base_service(driver):
    def info(request, context):
        return base.PluginInfoResponse(
            type=base.DRIVER, name=driver.name, plugin_version=driver.version, plugin_api_versions=["v0.1.0"])

    def schema(request, context):
        return base.ConfigSchemaResponse()  # it takes no configuration

    def set_config(request, context):
        return base.SetConfigResponse()

    return {
        "PluginInfo": unary(info, base.PluginInfoRequest, base.PluginInfoResponse),
        "ConfigSchema": unary(schema, base.ConfigSchemaRequest, base.ConfigSchemaResponse),
        "SetConfig": unary(set_config, base.SetConfigRequest, base.SetConfigResponse),
    }


def silent(context):
    until_gone(context)
    return iter(())


def serve(driver):
    """Introduces the plugin, serves it, and returns when the host asks it to end."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This is a plugin: agents start it. Put it into an agent's plugin_dir, or try it out with\n"
                 "drover plugin run " + sys.argv[0] + " task.hcl")
    # Ctrl-C is the agent's business. A handler, unlike SIG_IGN, is not inherited by tasks.
    signal.signal(signal.SIGINT, lambda *_: None)

    end = threading.Event()

    def shutdown(request, context):
        end.set()
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=[
        ("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    for name, methods in {
        "hashicorp.nomad.plugins.base.proto.BasePlugin": base_service(driver),
        "hashicorp.nomad.plugins.drivers.proto.Driver": driver.methods(),
        "grpc.health.v1.Health": {"Check": raw(lambda request, context: b"\x08\x01")},  # status: SERVING
        "plugin.GRPCController": {"Shutdown": raw(shutdown)},
        "plugin.GRPCStdio": {"StreamStdio": grpc.unary_stream_rpc_method_handler(
            lambda request, context: silent(context), bytes, bytes)},
        "plugin.GRPCBroker": {"StartStream": grpc.stream_stream_rpc_method_handler(
            lambda requests, context: silent(context), bytes, bytes)},
    }.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))

    place = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
    socket = tempfile.mktemp(prefix="plugin", dir=place)
    server.add_insecure_port("unix:" + socket)
    server.start()
    print("1|2|unix|" + socket + "|grpc|", flush=True)
    while not end.wait(3600):  # a wait without end would keep signals from being seen
        pass
    server.stop(0.5).wait()
    if os.path.exists(socket):
        os.remove(socket)
    os._exit(0)  # threads that wait for tasks do not hold up the end
