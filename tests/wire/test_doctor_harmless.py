"""The doctor harms nobody: hundreds of looks at servers under load fail no request, leave their descriptors as they were and take nothing
out of a pipe; and hostile names of processes and files are seen as they are and come out as harmless text.

HARMLESS_LOOKS=1000 looks that often. Runs in a network namespace of its own.
"""
import json, os, re, shutil, signal, subprocess, sys, tempfile, time
from weir_site import Load, Site, pids_of_family, wait_for
from wire import BUILD, done, equal, free_port, ok

WEIR = os.path.join(BUILD, "weir")
LOOKS = int(os.environ.get("HARMLESS_LOOKS", "200"))
DECIDED = (0, 1, 2)  # nothing, a warning, critical: on a busy machine a short look may see a processor too few


def enter():
    if os.environ.get("HARMLESS_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    if os.geteuid() or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        print("1..0 # SKIP no network namespace of our own")
        sys.exit(0)
    os.execvpe("unshare", ["unshare", "-n", sys.executable] + sys.argv, dict(os.environ, HARMLESS_INSIDE="1"))


def doctor(*args):
    return subprocess.run([WEIR, "doctor", *map(str, args)], capture_output=True, timeout=120)


def descriptors(pids):
    """What each process has open, and what its epoll sets watch."""
    out = {}
    for pid in pids:
        for fd in os.listdir("/proc/%d/fd" % pid):
            link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            watched = ""
            if "eventpoll" in link:
                with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                    watched = sorted(re.sub(r"data: *\S+", "", line) for line in f if line.startswith("tfd"))
            out[pid, int(fd)] = (link, watched)
    return out


def settled(pids):
    """The descriptors once the load's connections are gone: the same at two times in a row."""
    def same():
        now = descriptors(pids)
        time.sleep(0.2)
        return now if now == descriptors(pids) else None
    return wait_for(same, 20)


def look_at(name, master, port, looks):
    pids = [master] + pids_of_family(master)
    before = settled(pids)
    load = Load(port)
    codes = [doctor(master, "-t", "100ms", "--json").returncode for _ in range(looks // 2)]
    load.stopping = True
    for t in load.threads:
        t.join(20)
    ok(all(c in DECIDED for c in codes), "%s: %d looks were taken" % (name, looks), "exit statuses %s" % sorted(set(codes)))
    ok(load.asked > looks, "%s: while requests came" % name, load.asked)
    equal(load.failed[:3], [], "%s: none of them failed" % name)
    equal(pids_of_family(master), pids[1:], "%s: the processes are the same" % name)
    after = settled(pids)
    other = ["%s: %s, was %s" % (k, after.get(k), before.get(k)) for k in sorted(set(after) | set(before)) if after.get(k) != before.get(k)]
    equal(other, [], "%s: and so are their descriptors and what they watch" % name)


def nginx():
    path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not path:
        return ok(True, "# SKIP nginx is not installed")
    folder, port = tempfile.mkdtemp(prefix="harmless-"), free_port()
    os.chmod(folder, 0o755)
    with open(folder + "/nginx.conf", "w") as f:
        f.write("daemon off; worker_processes 2; pid %s/pid; error_log %s/error.log; events { worker_connections 500; }\n"
                "http { access_log off; keepalive_requests 1000000; server { listen 127.0.0.1:%d; location = /x { return 200 hi; } } }\n" % (folder, folder, port))
    p = subprocess.Popen([path, "-e", folder + "/error.log", "-p", folder, "-c", folder + "/nginx.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not wait_for(lambda: len(pids_of_family(p.pid)) == 2, 20):
            return ok(True, "# SKIP nginx does not start here")
        look_at("nginx", p.pid, port, max(LOOKS // 4, 40))
    finally:
        p.terminate()
        p.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


WRITER = """
import os, socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
os.write(2, b"R")
n = 0
while n < 30000:
    os.write(1, b"%09d\\n" % n)
    n += 1
"""


def full_pipe():
    p = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stderr.read(1)
    blocked = lambda: open("/proc/%d/syscall" % p.pid).read().startswith("1 0x1 ")
    ok(wait_for(blocked, 20), "a writer waits for a full pipe")
    codes = [doctor(p.pid, "-t", "100ms").returncode for _ in range(20)]
    ok(all(c in DECIDED for c in codes), "40 looks at it were taken", codes)
    got = p.stdout.read()
    ok(got == b"".join(b"%09d\n" % n for n in range(30000)), "then the reader got every byte in order, and the end", len(got))
    equal(p.wait(20), 0, "and the writer ended well")
    p.stderr.close()


HOSTILE = b") R (\x1b[2J\n7"
# A log that is a full pipe is said together with who does it: the name of the process comes out.
SICK = """
import os, socket
open("/proc/self/comm", "wb").write(%r)
s = socket.socket(); s.bind(("127.0.0.1", %d)); s.listen()
keep = os.open(%r, os.O_CREAT | os.O_RDWR)
os.write(2, b"R")
while True:
    os.write(1, b"x" * 4096)
"""


def hostile():
    folder, port = os.fsencode(tempfile.mkdtemp(prefix="harmless-")), free_port()
    path = folder + b"/\x1b]0;gone\x07\n[socket:[1]]"
    p = subprocess.Popen([sys.executable, "-c", SICK % (HOSTILE, port, path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if p.stderr.read(1) != b"R":
            return ok(False, "the patient starts", p.stderr.read())
        wait_for(lambda: open("/proc/%d/syscall" % p.pid).read().startswith("1 0x1 "), 20)
        record = os.path.join(os.fsdecode(folder), "record")
        seen = doctor(p.pid, "-t", "500ms", "--record", record)
        ok(seen.returncode in DECIDED, "a process with a hostile name is looked at", seen.stderr.decode(errors="replace"))
        text = seen.stdout + seen.stderr
        ok(not any(c < 32 and c != 10 or c == 127 for c in text), "no control byte comes out", text)
        ok(not any(line.startswith(b"7") for line in text.splitlines()), "and no line that is not ours", text)
        again = doctor("--from", record)
        ok(again.returncode == seen.returncode, "its recording is judged alike", again.stderr.decode(errors="replace"))
        with open(record, "rb") as f:
            lines = f.read()
        ok(not any(c < 32 and c not in (9, 10) for c in lines), "the recording holds no control byte either")
        out = doctor(p.pid, "-t", "100ms", "--json")
        ok(json.loads(out.stdout) and b"\x1b" not in out.stdout, "JSON is JSON")
    finally:
        p.send_signal(signal.SIGKILL)
        p.wait(20)
        p.stdout.close(), p.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


enter()
site = Site()
look_at("weir", site.pid(), site.port, LOOKS)
nginx()
full_pipe()
hostile()
done()
