"""The driver's methods, as section by section of the driver contract."""

import json
import threading
import time

import msgpack

from drover.plugin.driver.v1 import driver_pb2 as pb
from drover.plugin.hclspec.v1 import hclspec_pb2 as hclspec
from plugin import fail, streaming, unary, until_gone
from process import Process

NOT_FOUND = "task not found for given id"  # hosts know the text
STATE_VERSION = 1


class Task:
    def __init__(self, config, process):
        self.config = config
        self.process = process


class Driver:
    name = "python"
    version = "0.1.0"

    def __init__(self):
        self.lock = threading.Lock()
        self.tasks = {}

    def methods(self):
        def of(name, handler=unary):
            return handler(getattr(self, name), getattr(pb, name + "Request"), getattr(pb, name + "Response"))

        return {name: of(name) for name in (
            "TaskConfigSchema", "Capabilities", "StartTask", "RecoverTask", "WaitTask", "StopTask", "DestroyTask",
            "InspectTask", "SignalTask", "ExecTask")} | {
            "Fingerprint": of("Fingerprint", streaming), "TaskStats": of("TaskStats", streaming),
            "TaskEvents": streaming(self.TaskEvents, pb.TaskEventsRequest, pb.DriverTaskEvent),
        }

    # What the driver is

    def TaskConfigSchema(self, request, context):
        def attribute(name, kind, required=False):
            return hclspec.Spec(Attr=hclspec.Attr(name=name, type=kind, required=required))

        return pb.TaskConfigSchemaResponse(spec=hclspec.Spec(object=hclspec.Object(attributes={
            "command": attribute("command", "string", True), "args": attribute("args", "list(string)")})))

    def Capabilities(self, request, context):
        return pb.CapabilitiesResponse(capabilities=pb.DriverCapabilities(send_signals=True))

    def Fingerprint(self, request, context):
        yield pb.FingerprintResponse(health=pb.FingerprintResponse.HEALTHY, health_description="Healthy")
        until_gone(context)  # it never changes

    def TaskEvents(self, request, context):
        until_gone(context)
        return
        yield

    # The life of a task

    def StartTask(self, request, context):
        config = request.task
        try:
            settings = msgpack.unpackb(config.msgpack_driver_config)
            argv = [settings["command"]] + list(settings["args"] or [])
        except Exception as e:
            fail(context, "decode driver config: %s" % e)
        with self.lock:
            if config.id in self.tasks:
                fail(context, 'task with ID "%s" already started' % config.id)
            try:
                process = Process.start(config, argv)
            except OSError as e:
                fail(context, "start %s: %s" % (argv[0], e))
            self.tasks[config.id] = Task(config, process)
        return pb.StartTaskResponse(handle=pb.TaskHandle(
            version=STATE_VERSION, config=config, state=pb.RUNNING, driver_state=json.dumps(process.state()).encode()))

    def RecoverTask(self, request, context):
        config = request.handle.config
        if not config.id:
            fail(context, "recover task: the request has no handle")
        with self.lock:
            if config.id not in self.tasks:
                try:
                    process = Process.find(json.loads(request.handle.driver_state))
                except Exception as e:
                    fail(context, "decode task state: %s" % e)
                self.tasks[config.id] = Task(config, process)
        return pb.RecoverTaskResponse()

    def WaitTask(self, request, context):
        task = self.find(request, context)
        while context.is_active():
            if task.process.ended(timeout=0.1):
                return pb.WaitTaskResponse(result=result(task.process))

    def StopTask(self, request, context):
        if not request.HasField("timeout"):
            fail(context, "duration: nil Duration")
        task = self.find(request, context)
        try:
            task.process.stop(request.signal or "SIGTERM", request.timeout.ToNanoseconds() / 1e9)
        except ValueError as e:
            fail(context, str(e))
        return pb.StopTaskResponse()

    def DestroyTask(self, request, context):
        task = self.find(request, context)
        if not request.force and not task.process.ended():
            fail(context, "cannot destroy running task")
        task.process.destroy()
        with self.lock:
            self.tasks.pop(request.task_id, None)
        return pb.DestroyTaskResponse()

    # What is asked about a task

    def InspectTask(self, request, context):
        task = self.find(request, context)
        ended = task.process.ended()
        status = pb.TaskStatus(id=task.config.id, name=task.config.name, state=pb.EXITED if ended else pb.RUNNING)
        status.started_at.FromNanoseconds(int(task.process.started_at * 1e9))
        status.result.SetInParent()  # present even while the task runs
        if ended:
            status.completed_at.FromNanoseconds(int(task.process.ended_at * 1e9))
            status.result.CopyFrom(result(task.process))
        else:
            status.completed_at.seconds = -62135596800  # the year 1: not yet
        return pb.InspectTaskResponse(task=status)

    def TaskStats(self, request, context):
        task = self.find(request, context)
        interval = request.collection_interval.ToNanoseconds() / 1e9 or 1
        last, at = task.process.usage(), time.monotonic()
        while context.is_active():
            used, now = task.process.usage(), time.monotonic()
            percent = 100 * max(used.cpu - last.cpu, 0) / max(now - at, 1e-3)
            last, at = used, now
            usage = pb.TaskResourceUsage(
                cpu=pb.CPUUsage(percent=percent, measured_fields=[pb.CPUUsage.PERCENT]),
                memory=pb.MemoryUsage(rss=used.rss, measured_fields=[pb.MemoryUsage.RSS]))
            stats = pb.TaskStats(id=task.config.id, agg_resource_usage=usage)
            stats.timestamp.GetCurrentTime()
            yield pb.TaskStatsResponse(stats=stats)
            if task.process.ended(timeout=interval):
                return

    def SignalTask(self, request, context):
        task = self.find(request, context)
        try:
            task.process.signal(request.signal)
        except ValueError as e:
            fail(context, str(e))
        return pb.SignalTaskResponse()

    def ExecTask(self, request, context):
        fail(context, "ExecTask is not supported by this driver")

    def find(self, request, context):
        with self.lock:
            task = self.tasks.get(request.task_id)
        return task or fail(context, NOT_FOUND)


def result(process):
    code = process.exit_code
    return pb.ExitResult(exit_code=code, signal=code - 128 if 128 < code < 128 + 65 else 0)
