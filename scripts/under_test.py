"""What scripts/orphans, scripts/chaos and scripts/soak share: a home with an engine, llmup started in it, and a look
at which processes and ports are left. Linux only. Nothing is ever ended by name: only what carries this run's own
variable in its environment, which every process below llmup inherits."""
import json, os, select, shutil, signal, socket, subprocess, sys, tempfile, threading, time, uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TAG = "LLMUP_UNDER_TEST"
KEY = "key-under-test"

# Handlers, so that a driver started in the background or by nohup does not hand down ignored signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, lambda *_: None)


def tagged(tag):
    """The living processes of a run, by what they inherited."""
    wanted, found = f"{TAG}={tag}".encode(), []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environ = file.read()
            # Of a zombie the environment is empty: it is dead, whoever has yet to fetch it.
            if wanted in environ.split(b"\0"):
                found.append(int(name))
        except OSError:
            pass
    return found


def stat(pid):
    """Name, state, parent, group, session of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return None
    rest = text[text.rindex(")") + 1:].split()
    return text[text.index("(") + 1:text.rindex(")")], rest[0], int(rest[1]), int(rest[2]), int(rest[3])


def members(sessions):
    """The living processes of these sessions, also those that hid their environment."""
    found = []
    for name in os.listdir("/proc"):
        seen = stat(name) if name.isdigit() else None
        if seen and seen[1] not in "ZX" and seen[4] in sessions:
            found.append(int(name))
    return found


def listening():
    """Every listening TCP socket of the machine: inode to port."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = open(table).read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == "0A":
                found[columns[9]] = int(columns[1].rsplit(":", 1)[1], 16)
    return found


def sockets_of(pids):
    """Which listening sockets these processes hold: inode to port."""
    everyone, found = listening(), {}
    for pid in pids:
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                inode = target[8:-1] if target.startswith("socket:[") else None
                if inode in everyone:
                    found[inode] = everyone[inode]
        except OSError:
            pass
    return found


class Home:
    """A home, a data folder and an engine: the fake one, or an installed one out of the data folder `real`."""

    def __init__(self, llmup, engine="fake", real=None, grandchild=None):
        self.tag, self.engine, self.llmup_program = uuid.uuid4().hex, engine, os.path.abspath(llmup)
        self.path = tempfile.mkdtemp(prefix="llmup-under-test-")
        self.data, self.env = os.path.join(self.path, "data"), {}
        bin_ = os.path.join(self.path, "bin")
        os.mkdir(bin_)
        os.mkdir(self.data)
        if engine == "fake":
            fake = os.path.join(os.path.dirname(self.llmup_program), "examples", "fake-engine")
            os.symlink(fake, os.path.join(bin_, "llama-server"))
            if grandchild:
                self.env["FAKE_GRANDCHILD"] = grandchild
        else:
            self._link(real, engine, grandchild)
        self.base = {
            "PATH": f"{bin_}:{os.environ['PATH']}", "HOME": self.path, "LLMUP_DATA_DIR": self.data, "TERM": "xterm",
            "LLMUP_CONFIG_DIR": os.path.join(self.path, "config"), TAG: self.tag, "FAKE_PIDS": os.path.join(self.path, "pids"),
        }

    def _link(self, real, engine, grandchild):
        """The installed engine and the demo model, by links; before it stands a script that starts a grandchild."""
        at = os.path.join(real, "engines")
        name = sorted(n for n in os.listdir(at) if n.startswith(engine + "-"))[-1]
        own = os.path.join(self.data, "engines", name)
        os.makedirs(own)
        for entry in os.listdir(os.path.join(at, name)):
            if entry != "engine.json":
                os.symlink(os.path.join(at, name, entry), os.path.join(own, entry))
        manifest = json.load(open(os.path.join(at, name, "engine.json")))
        if grandchild:
            setsid = "setsid " if grandchild == "setsid" else ""
            # Only the engine itself gets a grandchild, not a question for its flags.
            script = f'#!/bin/sh\nif [ -n "$LLMUP_CHILD" ]; then (trap "" TERM INT HUP; exec {setsid}sleep 600) & fi\n'
            script += f'exec "{os.path.join(at, name, manifest["program"])}" "$@"\n'
            with open(os.path.join(own, "with-child"), "w") as file:
                file.write(script)
            os.chmod(os.path.join(own, "with-child"), 0o755)
            manifest["program"] = "with-child"
        json.dump(manifest, open(os.path.join(own, "engine.json"), "w"))
        # The model and what vLLM compiled are shared; a small cache is the run's own.
        for entry in ("models", "cache"):
            at, own = os.path.join(real, entry), os.path.join(self.data, entry)
            if entry == "cache" and engine != "vllm" and os.path.isdir(at):
                shutil.copytree(at, own, symlinks=True)
            elif os.path.isdir(at):
                os.symlink(at, own)

    def command(self, *args):
        return [self.llmup_program, *args]

    def start_args(self, port=0):
        engine = {"fake": "llama-cpp"}.get(self.engine, self.engine)
        return self.command("start", "demo", "--engine", engine, "--json", "--port", str(port), "--api-key", KEY)

    def run(self, *args, **more):
        """Another command of llmup's to its end."""
        env = {**self.base, **self.env, TAG: "beside"}
        return subprocess.run(self.command(*args), env=env, cwd=self.path, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)

    def pids(self):
        """What the fake engines wrote: pairs of role and pid."""
        try:
            return [(line.split()[0], int(line.split()[1])) for line in open(os.path.join(self.path, "pids")) if line.endswith("\n")]
        except OSError:
            return []

    def states(self):
        try:
            return [n for n in os.listdir(os.path.join(self.data, "run")) if n.endswith(".json")]
        except OSError:
            return []

    def sweep(self):
        """Ends what is left of this run; gives it."""
        left = tagged(self.tag)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return left

    def remove(self):
        self.sweep()
        shutil.rmtree(self.path, ignore_errors=True)


class Llmup:
    """`llmup start demo` in one of three surroundings: `plain`, on a `terminal` of its own, or in a `shell` on one."""

    def __init__(self, home, how="plain", args=None, env=None):
        self.home, self.master, self.drain = home, None, None
        self.out, self.err = (os.path.join(home.path, f"{name}-{uuid.uuid4().hex[:6]}") for name in ("out", "err"))
        args, env = args or home.start_args(), {**home.base, **home.env, **(env or {})}
        out = open(self.out, "w")
        if how == "plain":
            self.popen = subprocess.Popen(args, env=env, cwd=home.path, stdin=subprocess.DEVNULL, stdout=out, stderr=open(self.err, "w"))
            return
        self.master, slave = os.openpty()
        inner = '"$0" "$@"; exit' if how == "terminal" else '"$0" "$@" & read line'
        wrapped = ["setsid", "-c", "sh", "-c", inner, *args]
        self.popen = subprocess.Popen(wrapped, env=env, cwd=home.path, stdin=slave, stdout=out, stderr=slave)
        os.close(slave)
        self.closing = False
        self.drain = threading.Thread(target=self._drain, daemon=True)
        self.drain.start()

    def _drain(self):
        """Somebody must read a terminal, or it fills."""
        while not self.closing:
            try:
                if select.select([self.master], [], [], 0.05)[0] and not os.read(self.master, 65536):
                    return
            except OSError:
                return

    def close_terminal(self):
        self.closing = True
        self.drain.join()
        os.close(self.master)
        self.master = None

    def ready(self, limit=60):
        """The JSON of `start --json`."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                return json.load(open(self.out))
            except ValueError:
                pass
            if self.popen.poll() is not None:
                raise RuntimeError(f"llmup ended with {self.popen.returncode}: {self.said()}")
            time.sleep(0.02)
        raise RuntimeError(f"not ready in {limit} s: {self.said()}")

    def said(self):
        try:
            return open(self.err).read()
        except OSError:
            return ""

    def finish(self):
        if self.master is not None:
            self.close_terminal()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


BODIES = {
    "chat": ("/v1/chat/completions", {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}),
    "messages": ("/v1/messages", {"model": "demo", "max_tokens": 90000, "messages": [{"role": "user", "content": "hi"}]}),
    "responses": ("/v1/responses", {"model": "demo", "input": "hi"}),
    "gemini": ("/v1beta/models/demo:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}


def send(port, dialect, stream, text=None, timeout=60, model="demo"):
    """Opens a connection and asks; gives the socket."""
    path, body = BODIES[dialect]
    path, body = path.replace("/demo:", f"/{model}:"), {**body, "model": model} if "model" in body else body
    body = json.loads(json.dumps(body).replace('"hi"', json.dumps(text))) if text else dict(body)
    if dialect == "gemini":
        path = path.replace("generateContent", "streamGenerateContent?alt=sse") if stream else path
    elif stream:
        body["stream"] = True
    data = json.dumps(body).encode()
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {KEY}\r\nx-goog-api-key: {KEY}\r\n"
    sock.sendall(f"{head}content-type: application/json\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
    return sock
