# Runs an engine in WSL for llmup on Windows, as llmup's own guard does on Unix: it starts the program in a session of its
# own, obeys orders on standard input ('t': ask it to end; 'k', or the end of the input: kill everything), and ends, with
# the program's code, when nothing that the program started is left. No double quotes, backslashes or dollars here: this
# text is one argument of wsl.exe. Usage: python -I -u -c TEXT PROGRAM ARGUMENT...
import ctypes, os, signal, subprocess, sys, threading, time

GUARD = 'LLMUP_WSL_GUARD'


def born(pid):
    try:
        with open('/proc/%d/stat' % pid, 'rb') as file:
            fields = file.read().rpartition(b')')[2].split()
    except OSError:
        return None
    return None if fields[0] in (b'Z', b'X') else fields[19].decode()


def guards(pid):
    try:
        with open('/proc/%d/environ' % pid, 'rb') as file:
            pairs = [pair.partition(b'=') for pair in file.read().split(bytes([0]))]
    except OSError:
        return []
    return [value.decode(errors='replace') for name, _, value in pairs if name == GUARD.encode()]


def marked(wanted):
    pids = [int(name) for name in os.listdir('/proc') if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and any(map(wanted, guards(pid))) and born(pid)]


def of_the_dead(guard):
    pid, _, birth = guard.partition(':')
    return pid.isdigit() and born(int(pid)) != birth


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


libc = ctypes.CDLL(None)
# PR_SET_CHILD_SUBREAPER: who loses its parent below us becomes our child.
libc.prctl(36, 1, 0, 0, 0)
me = '%d:%s' % (os.getpid(), born(os.getpid()))
# What a guard left that was killed itself.
kill(marked(of_the_dead))


def with_us():
    # PR_SET_PDEATHSIG.
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)


try:
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        env=dict(os.environ, **{GUARD: me}),
        start_new_session=True,
        preexec_fn=with_us,
    )
except OSError as error:
    print('llmup: cannot start %s: %s' % (sys.argv[1], error.strerror), file=sys.stderr)
    sys.exit(127)
killing = threading.Event()


def group(number):
    if child.returncode is None:
        try:
            os.killpg(child.pid, number)
        except OSError:
            pass


def end():
    killing.set()
    while True:
        group(signal.SIGKILL)
        kill(marked(lambda guard: guard == me))
        time.sleep(0.01)


def obey():
    while True:
        try:
            order = os.read(0, 1)
        except OSError:
            order = b''
        if order == b't':
            group(signal.SIGTERM)
        if order in (b'', b'k'):
            end()


for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, lambda *_: threading.Thread(target=end, daemon=True).start())
threading.Thread(target=obey, daemon=True).start()
status = child.wait()
patience = time.monotonic() + (0.1 if status == 0 else 0)
while True:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    left = marked(lambda guard: guard == me)
    if not left:
        break
    if killing.is_set() or time.monotonic() > patience:
        kill(left)
    time.sleep(0.01)
os._exit(status if status >= 0 else 128 - status)
