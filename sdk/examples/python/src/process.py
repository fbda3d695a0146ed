"""A task's process. It outlives this one: a shell writes its exit code to a file, by which any later process of the
plugin learns how it ended."""

import collections
import os
import signal
import subprocess
import threading
import time

# $0 is the file for the exit code, $1 and $2 are the task's output. The shell lives through what ends its child.
SCRIPT = ('trap : TERM INT HUP QUIT USR1 USR2; exec >"$1" 2>"$2"; shift 2; "$@"; '
          'echo $? >"$0.tmp"; mv "$0.tmp" "$0"')
KILLED = 128 + signal.SIGKILL
POLL = 0.05

Usage = collections.namedtuple("Usage", "cpu rss")  # seconds, bytes


class Process:
    def __init__(self, pid, identity, exit_file, started_at):
        self.pid, self.identity, self.exit_file, self.started_at = pid, identity, exit_file, started_at
        self.lock = threading.Lock()
        self.exit_code = None
        self.ended_at = None

    @classmethod
    def start(cls, config, argv):
        directory = os.path.join(config.alloc_dir, config.name)
        exit_file = os.path.join(directory, "." + os.path.basename(config.id) + ".exit")
        child = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, exit_file, config.stdout_path, config.stderr_path] + argv,
            cwd=directory, env=dict(config.env), start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Thread(target=child.wait, daemon=True).start()  # reaps it
        return cls(child.pid, identity(child.pid), exit_file, time.time())

    @classmethod
    def find(cls, state):
        return cls(int(state["pid"]), state["identity"], state["exit_file"], float(state["started_at"]))

    def state(self):
        return {"pid": self.pid, "identity": self.identity, "exit_file": self.exit_file, "started_at": self.started_at}

    def running(self):
        return bool(self.identity) and identity(self.pid) == self.identity

    def ended(self, timeout=0):
        """Whether the task has ended; waits for it for up to timeout seconds."""
        until = time.monotonic() + timeout
        while not self.look() and time.monotonic() < until:
            time.sleep(POLL)
        return self.exit_code is not None

    def look(self):
        with self.lock:
            if self.exit_code is None:
                gone = not self.running()  # asked before the file is looked for, which is written before it goes
                try:
                    with open(self.exit_file) as f:
                        self.exit_code = int(f.read())
                except FileNotFoundError:
                    if gone:  # only SIGKILL keeps the shell from writing it
                        self.exit_code = KILLED
                if self.exit_code is not None:
                    self.ended_at = time.time()
            return self.exit_code is not None

    def signal(self, name):
        number = getattr(signal, name, None)
        if not isinstance(number, signal.Signals):
            raise ValueError("signal %s is unknown" % name)
        self.send(number)

    def send(self, number):
        if self.running():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def stop(self, name, timeout):
        if not self.ended():
            self.signal(name)
            if not self.ended(timeout):
                self.send(signal.SIGKILL)

    def destroy(self):
        self.send(signal.SIGKILL)
        self.ended(timeout=5)
        try:
            os.remove(self.exit_file)
        except FileNotFoundError:
            pass

    def usage(self):
        """Sums up the processes of the task's session."""
        cpu, rss = 0, 0
        for entry in os.listdir("/proc"):
            fields = stat(entry) if entry.isdigit() else None
            if fields and int(fields[3]) == self.pid:
                cpu += int(fields[11]) + int(fields[12])
                rss += int(fields[21])
        return Usage(cpu / os.sysconf("SC_CLK_TCK"), rss * os.sysconf("SC_PAGE_SIZE"))


def stat(pid):
    """What follows the name in /proc/<pid>/stat: state, parent, group, session ..."""
    try:
        with open("/proc/%s/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def identity(pid):
    """When the process started: with the pid it names one process. Empty if there is none, or only a zombie."""
    fields = stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""
