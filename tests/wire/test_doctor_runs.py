#!/usr/bin/env python3
"""weir doctor that looks for longer: --watch, --while, --upstream, and a weir server's own account."""
import json, os, re, signal, socket, subprocess, sys, tempfile, threading, time

from doctor import BUILD, HERE, WEIR, Patient, _children, burst, connect, doctor, end_children, enter
from wire import done, equal, ok
from weir_site import Site, alive, pids_of_family, wait_for

enter(os.path.abspath(__file__))

well = Patient("well", 7001)
LOAD = """
import socket
for i in range(150):
    c = socket.create_connection(("127.0.0.1", 7001)); c.send(b"x"); c.recv(100); c.close()
"""

# ---- --while
got = doctor(":7001", "--while", "--", "true")
ok(got.exit == 0 and "true: exit 0" in got.out, "--while -- true", got)
got = doctor(":7001", "--while", "--", sys.executable, "-c", LOAD)
ok(got.exit == 0 and re.search(r"\b15\d\s+connections accepted", got.out), "a load: the connections it made", got)
got = doctor(":7001", "--json", "--while", "--", "sh", "-c", "echo noise; exit 3")
j = got.json()
equal((got.exit, j["while"]["ended"], j["while"]["status"]), (0, "exit 3", 3 << 8), "the command's own end is told, the exit status is the doctor's")
ok("noise" in got.err, "with --json the command's output goes to standard error")
got = doctor(":7001", "--json", "--while", "--", sys.executable, "-c", LOAD)
ok(150 <= got.json()["while"]["counters"]["PassiveOpens"] <= 160, "counters in JSON", got)
stop = "import os, signal, time; os.kill(%d, signal.SIGSTOP); time.sleep(3); os.kill(%d, signal.SIGCONT); time.sleep(2.5)" % (well.pid, well.pid)
got = doctor(":7001", "--json", "--while", "--", sys.executable, "-c", stop)
ok("process-stopped" in got.ids() and got.exit == 2, "what was over before the command's end is not lost", got)
p = subprocess.Popen([WEIR, "doctor", ":7001", "--while", "--", "sh", "-c", "trap 'exit 7' TERM; echo started; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
equal(p.stdout.readline(), b"started\n", "a command that runs")
p.send_signal(signal.SIGTERM)
out = p.communicate(timeout=60)[0].decode()
ok(p.returncode == 0 and "exit 7" in out, "gets the signal, and the report still comes", out)


here = Patient("well", 7007, name=b"twins")
there = Patient("well", 7007, name=b"twins", before=["unshare", "-n"])
got = doctor("twins", "--json", "-t", "300ms")
equal(sorted(t["pid"] for t in got.json()["targets"]), sorted([here.pid, there.pid]), "targets in two network namespaces")
ok(all(t["listener"] == "127.0.0.1:7007" for t in got.json()["targets"]), "each with its own listener", got)
got = doctor("twins", "--json", "--while", "--", "true")
ok([t["pid"] for t in got.json()["targets"]] == [here.pid] and "left out: 1 of 2" in got.err, "--while keeps to one, and says so", got)
there.stop()
here.stop()
mortal = Patient("well", 7006)
got = doctor(":7006", "--while", "--", "sh", "-c", "kill -9 %d; sleep 1.5" % mortal.pid)
ok(got.exit == 3 and "ended while the command ran" in got.err, "a target that ends under the load is not called healthy", got)


# ---- a disease that begins after the first look
young = Patient("edge", 7005, backlog=5)
BURST = ("import os, signal, socket, time; os.kill(%d, signal.SIGSTOP); c = [socket.socket() for _ in range(12)]; [x.setblocking(False) for x in c]; "
         "[x.connect_ex(('127.0.0.1', 7005)) for x in c]; os.kill(%d, signal.SIGCONT); time.sleep(0.9)" % (young.pid, young.pid))
got = doctor(":7005", "--json", "-t", "1s", "--while", "--", sys.executable, "-c", BURST)
first = got.json()["findings"][0]
ok(first["id"] == "et-listener-not-drained" and first["sure"] in ("likely", "proof"), "clients that came after the first look: the cause leads, not the full queue", got)
young.stop()

# ---- --watch
def lines_until(stream, pattern, seconds=60):
    """Lines up to one that matches; the watch goes on writing."""
    out, timer = [], threading.Timer(seconds, stream.close)
    timer.start()
    for line in stream:
        out.append(line.decode())
        if re.search(pattern, out[-1]):
            break
    timer.cancel()
    return out


w = subprocess.Popen([WEIR, "doctor", ":7001", "--watch=300ms", "-t", "200ms"], stdout=subprocess.PIPE)
ok("nothing found" in "".join(lines_until(w.stdout, "nothing found")), "--watch: nothing at first")
os.kill(well.pid, signal.SIGSTOP)
seen = "".join(lines_until(w.stdout, "new .*process-stopped"))
ok("process-stopped" in seen, "what is new", seen)
ok("still there" in "".join(lines_until(w.stdout, "still there")), "what stays")
os.kill(well.pid, signal.SIGCONT)
seen = "".join(lines_until(w.stdout, "gone, lasted"))
ok(re.search(r"\d\d:\d\d:\d\d  gone, lasted \d", seen), "what has gone, with times", seen)
w.send_signal(signal.SIGINT)
equal(w.wait(30), 0, "SIGINT ends it with the last verdict")
w = subprocess.Popen([WEIR, "doctor", ":7001", "--watch=200ms", "-t", "100ms", "--json"], stdout=subprocess.PIPE)
two = [json.loads(w.stdout.readline()) for _ in range(2)]
equal([x["v"] for x in two], [1, 1], "--watch --json: an object in each line")
time.sleep(3)
with open("/proc/%d/stat" % w.pid) as f:
    fields = f.read().rsplit(")", 1)[1].split()
with open("/proc/uptime") as f:
    age = float(f.read().split()[0]) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
share = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") / age
w.send_signal(signal.SIGTERM)
equal(w.wait(30), 0, "SIGTERM ends it")
asan = b"__asan_init" in open(WEIR, "rb").read()
ok(share <= 0.03 or asan, "it costs about one percent of a processor at most: %.1f %%" % (100 * share))

# ---- --upstream
behind = Patient("edge", 7005)
FRONT = """
import os, socket, time
up = [socket.create_connection(("127.0.0.1", 7005)) for _ in range(2)]
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 7004)); s.listen(16)
print("READY", flush=True)
time.sleep(300)
"""
front = subprocess.Popen([sys.executable, "-c", FRONT], stdout=subprocess.PIPE)
front.stdout.readline()
waiting = burst(behind, 5)
got = doctor(":7004", "--upstream", "--json", "-t", "500ms")
j = got.json()
equal([t["pid"] for t in j["targets"]], [front.pid, behind.pid], "--upstream: the process behind the connections is a target too")
ok(j["targets"][1].get("behind"), "and says behind whom", got)
ok("behind" in doctor(":7004", "--upstream", "-t", "300ms").out, "also in the text")
front.kill()
front.wait()
behind.stop()

# ---- weir's own account
site = Site(server="location = /x { return 200 'hi'; }")
idle = connect(site.port, 4, block=True)
for c in idle[:2]:
    c.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    c.recv(4096)
idle[2].sendall(b"GET /x HT")
target = ":%d" % site.port


def account():
    return doctor(target, "--json", "-t", "200ms").json()


def stages(j):
    return {g["stage"]: g for w in j["weir"] for g in w["stages"]}


j = wait_for(lambda: (lambda j: j if {"idle", "head"} <= set(stages(j)) else None)(account()), 20) or account()
ok({"idle", "head"} <= set(stages(j)), "weir's own account: stages of its connections", json.dumps(j)[:1500])
ok(stages(j)["head"]["oldest"]["peer"].startswith("127.0.0.1:") and stages(j)["head"]["oldest"]["id"] > 0, "the oldest of each, by id and peer")
workers = [w["pid"] for w in j["weir"]]
equal(len(workers), 2, "both workers")
busy = [w["pid"] for w in j["weir"] if w["stages"]]
for pid in busy:
    os.kill(pid, signal.SIGSTOP)
j = wait_for(lambda: (lambda j: j if all("stuck_ms" in w for w in j["weir"] if w["pid"] in busy) else None)(account()), 30) or account()
ids = [f["id"] for f in j["findings"]]
ok("process-stopped" in ids, "a worker under SIGSTOP: process-stopped", ids)
held = [w for w in j["weir"] if w["pid"] in busy]
ok(held and all(w.get("stuck_in") == "stopped" and w["stages"] for w in held), "what it holds is still told", json.dumps(held)[:800])
got = doctor(str(busy[0]), "-t", "200ms")
ok("weir's own account" in got.out and "does not move (stopped)" in " ".join(got.out.split()) and "its last events" in got.out, "also for the worker's pid alone, with its last events", got)
for pid in busy:
    os.kill(pid, signal.SIGCONT)
site.stop() if hasattr(site, "stop") else site.process.terminate()

# ---- who borrowed: any program on libweir that has a pool
for workers in (0, 1):
    port = 7006 + workers
    lender = subprocess.Popen([os.path.join(BUILD, "tests", "lender"), "tcp://127.0.0.1:%d" % port, str(workers)], stderr=subprocess.DEVNULL)
    _children.append(lender)
    up = wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 20)
    ok(up, "a program that lends from a pool of four, %d workers" % workers)
    kept = connect(port, 4, block=True)
    for c in kept:
        c.sendall(b"GET /keep HTTP/1.1\r\nHost: a\r\n\r\n")
        ok(b"kept" in c.recv(4096), "one is never given back")
    wanting = connect(port, 6, block=True)
    for c in wanting:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    got = doctor(":%d" % port, "--json", "-t", "1500ms")
    pools = got.json().get("pools", [])
    equal([(p["name"], p["lent"], p["max_open"], p["waiting"]) for p in pools], [("db", 4, 4, 6)], "its pool: all lent, six wait")
    equal([bool(re.match(r"on_request \(lender\.c:\d+\)$", b["where"])) for p in pools for b in p["borrowers"]], [True] * 4, "and who holds them")
    inside = [f for f in got.json()["findings"] if f["id"] == "stuck-inside"]
    said = {e["k"]: e.get("text") for f in inside for e in f["evidence"]}
    ok("db: 4 of 4 lent, 6 wait" == said.get("pool") and "on_request (lender.c:" in (said.get("borrower") or ""), "the finding names pool and borrower", got)
    text = doctor(":%d" % port, "-t", "300ms").out
    ok("its own account" in text and "held for" in text, "so does the report", text)
    for c in kept + wanting:
        c.close()
    lender.kill()
    lender.wait()

end_children()
done()
