#!/usr/bin/env python3
"""Every patient and its healthy twin, looked at by the real `weir doctor` in a namespace of its own (TAP).

    patients.py [--quick] [--jobs N] [--record DIR] [NAME ...]

A sick one must have exactly the expected leading finding, certainty and evidence, and no other that is not an accepted companion;
its twin must have none. What this machine cannot show is skipped with the reason, never passed. At the end the
matrix of all patients against all rules is printed. Needs unshare(1); some patients need root, tc or a compiler's language.
"""
import collections, concurrent.futures, gzip, json, os, re, shutil, subprocess, sys, time

import beds

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
WEIR = os.path.join(BUILD, "weir")
SECONDS = "1s"
KEPT_MAX = 40000  # bytes of a packed recording

FIELDS = "name rule sure evidence also calm target program bed clients quick older_ms host limits computes"
Row = collections.namedtuple("Row", FIELDS, defaults=[None] * len(FIELDS.split()))


def row(name, rule, sure, evidence=None, also=(), calm=(), target=":8080", **more):
    """also: rules that may stand beside the leading one; calm: rules that may speak of the twin, as information only;
    older_ms, host: the recording is made so much older, and gets these numbers of the host, before it is judged;
    limits: live, with 2000 clients and these words to the doctor instead; what is recorded is 30 clients made older;
    computes: it needs a part of a processor; where there are not enough of them nothing is shown."""
    return Row(name=name, rule=rule, sure=sure, evidence=evidence or {}, also=set(also), calm=set(calm), target=target, **more)


ROWS = [
    # the accept path
    row("et-once", "et-listener-not-drained", "proof", {"acceptq": 5, "unaccepted": 5, "wakeups": 0}, quick=True),
    row("et-worker-cap", "et-listener-not-drained", "proof", {"acceptq": 20, "unaccepted": 20}),
    row("backlog5", "accept-queue-overflow", "proof", {"listener_drops": "rises"}, also=["backlog-clipped"]),
    row("backlog-clipped", "backlog-clipped", "likely", {"backlog": 12}),
    row("accept-thread-died", "listener-unwatched", "likely", {"unaccepted": 6}, quick=True),
    row("limit-dropped", "listener-unwatched", "likely", {"unaccepted": 3}),
    row("stopped", "process-stopped", "proof", quick=True),
    row("emfile-lt", "fd-limit", "proof", {"fds": ">=12"}, quick=True),
    row("emfile-et", "fd-limit", "proof", {"fds": ">=12"}),
    row("reuseport-dead", "reuseport-dead-member", "likely", {"members": 4, "stuck_members": 1}),
    row("inherited", "listener-inherited", "proof"),
    row("herd", "thundering-herd", "proof", {"sets": 8}),
    row("imbalance", "accept-imbalance", "likely"),
    row("loop-computes", "event-loop-busy", "likely", {"unread": 3, "wakeups": 0}, quick=True, computes=True),
    row("computes", "close-wait-unaccepted", "proof", {"unaccepted": 8}, also=["busy-spin", "no-timeouts"]),
    row("oneshot", "oneshot-not-rearmed", "likely", {"unread": 5}),
    row("synflood", "syn-flood", "proof", {"syn_recv": ">=16"}, bed=beds.flooded),
    # threads
    row("blocked-recv", "event-loop-blocked", "proof", {"syscall": "recvfrom", "wakeups": 0}, quick=True),
    row("blocked-connect", "event-loop-blocked", "proof", {"syscall": "connect"}),
    row("blocked-dns", "dns-blocked", "likely", {"syscall": "recvfrom"}),
    row("socketpair-full", "ipc-full", "proof", {"syscall": "sendto"}),
    row("log-pipe-full", "log-write-blocked", "proof", {"syscall": "write"}, quick=True),
    row("d-state", "disk-stall", "likely", {"state": "D"}, bed=beds.frozen),
    row("disk-full", "disk-full", "proof", {"disk_left": 0, "file_size": 65536, "files_there": 1}, bed=beds.tiny_disk, quick=True),
    row("inodes-full", "disk-full", "likely", {"inodes_left": 0}, bed=beds.tiny_disk),
    row("fork-mutex", "fork-mutex-deadlock", "proof", quick=True),
    row("mutex-cycle", "mutex-cycle", "proof", {"cycle": 2}),
    row("slow-upstream", "slow-upstream", "likely", {"owed": 10, "upstream_owes": 10}, quick=True),
    row("pool-leak", "stuck-inside", "likely", {"owed": 7, "upstream_owes": 0}),
    row("worker-pool", "worker-pool-exhausted", "likely", {"unread": 6, "family_asleep": 2}),
    row("threads", "thread-explosion", "proof", {"threads": "rises"}),
    row("zombies", "zombie-children", "proof", {"zombies": ">=50"}),
    row("busy-spin", "busy-spin", "likely", {"unhandled": ">=1"}),
    row("busy-spin-reset", "busy-spin", "likely", {"unhandled": ">=1"}),
    row("starved", "cpu-starved", "proof", calm=["cpu-starved"]),
    row("throttled", "cpu-throttled", "proof", {"throttles": ">=5"}, bed=beds.quota),
    row("session-pile-up", "session-pile-up", "likely", {"sessions": "rises", "rss": "rises"}),
    # connections
    row("closewait-0", "close-wait-leak", "proof", {"close_wait": 60, "eof_read": 60}, quick=True),
    row("closewait-1", "close-wait-leak", "proof", {"close_wait": 60, "eof_unread": 60}),
    row("closewait-n", "close-wait-leak", "proof", {"close_wait": 60, "request_unread": 60}),
    row("noproto-new", "socket-without-protocol", "proof", {"bare_sockets": 10}),
    row("noproto-reset", "socket-without-protocol", "proof", {"bare_sockets": 10}),
    row("noproto-bound", "socket-without-protocol", "proof", {"bare_sockets": 10}),
    row("stale-pool", "stale-pooled-conn", "proof", {"stale": 3}, quick=True),
    row("time-wait", "time-wait-pile-up", "proof", {"time_wait": ">=100"}, bed=beds.narrow_ports),
    row("ephemeral", "ephemeral-ports-exhausted", "likely", {"ports": ">=180"}, bed=beds.narrow_ports),
    row("time-wait-server", "time-wait-harmless", "proof", {"time_wait": ">=5000"}),
    row("synsent", "connect-pile-up", "proof", {"syn_sent": 20}, bed=beds.nowhere),
    row("no-timeouts", "no-timeouts", "hint", older_ms=70000),
    row("idle-crowd", "no-keepalive", "hint", {"idle": ">=30"}, older_ms=1000000, bed=beds.wire, limits=["--set", "idle_no_timer_ms=400"]),
    row("half-open", "no-keepalive", "likely", {"half_open": 5}, bed=beds.wire),
    # the path
    row("zero-window", "peer-zero-window", "proof"),
    row("loss", "loss-on-path", "proof", bed=beds.lossy, also=["slow-path-send-queue"]),
    row("slow-path", "slow-path-send-queue", "likely", bed=beds.narrow_path),
    row("small-buffers", "small-buffers", "likely", bed=beds.slow_acks),
    row("small-rcvbuf", "small-buffers", "likely", {"rcvbuf": 8192}, bed=beds.slow_answers),
    row("nagle", "nagle-delayed-ack", "likely", {"request_ms": ">=35"}),
    row("reset-storm", "reset-storm", "hint", {"resets": ">=50"}),
    row("udp-drop", "rx-drop", "proof", {"drops": ">=1"}),
    # where the disease lives in a language
    row("py-accept-died", "listener-unwatched", "likely", program="py_accept_died.py", clients=beds.one_bad_number),
    row("java-worker-pool", "worker-pool-exhausted", "likely", {"unread": 4}, program="WorkerPool.java", clients=beds.six_ask),
    row("node-blocked", "event-loop-blocked", "likely", {"syscall": "read"}, program="node_blocked.js", bed=beds.fifo, clients=beds.six_ask),
    row("go-pool-leak", "stuck-inside", "likely", {"owed": 7, "upstream_owes": 0}, program="go_pool.go", bed=beds.go_upstream, clients=beds.ten_ask),
    # the machine
    row("conntrack", "conntrack-full", "proof", {"conntrack": ">=65000", "drops": ">=100"}, bed=beds.tracked),
    row("tcp-memory-group", "tcp-memory-pressure", "likely", {"pruned": ">=1"}, bed=beds.tcp_limit),
    # what no test may bring about, for it would be the whole machine's (a namespace has no net.ipv4.tcp_mem): the numbers are written into
    # a recording
    row("tcp-memory", "tcp-memory-pressure", "proof", {"pruned": ">=40"},
        host={"sysctl TCP_MEM": ("1000 2000 3000", "1000 2000 3000"), "counter TCP_MEM_PAGES": (2400, 2900),
              "counter MEMORY_PRESSURES": (3, 5), "counter PRUNE_CALLED": (100, 140)}),
]

def of_machine(f, got):
    """The machine's own state, true of whoever runs on it: processors are short, packets of whomever are dropped."""
    if f["id"] == "cpu-starved":
        return got.get("crowded", True)
    values = {e["k"]: e.get("b") for e in f["evidence"]}
    return f["id"] == "rx-drop" and values.get("softnet_drops", 0) > 0


# ---- running ----------------------------------------------------------------------------------------------
def command(r):
    """How the patient is started, or why it cannot be."""
    if not r.program:
        return [os.path.join(BUILD, "tests", "patient"), r.name], None
    path = os.path.join(HERE, r.program)
    tool = {"py": sys.executable, "java": "java", "js": "node", "go": "go"}[r.program.rsplit(".", 1)[1]]
    if not shutil.which(tool):
        return None, "%s is not installed" % tool
    if tool != "go":
        return [tool, path], None
    binary = os.path.join(BUILD, "tests", "go_pool")
    if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(path):
        env = dict(os.environ, GOFLAGS="-mod=mod", GO111MODULE="off", GOCACHE=os.path.join(BUILD, "go-cache"))
        p = subprocess.run(["go", "build", "-o", binary, path], env=env, stderr=subprocess.PIPE, text=True, check=False)
        if p.returncode != 0:
            return None, "go build: " + p.stderr[-200:]
    return [binary], None


def look(r, sick, record):
    argv, why = command(r)
    if why:
        return {"skip": why}
    order = json.dumps({"name": r.name, "argv": argv, "sick": sick, "record": record})
    p = subprocess.run(beds.unshare() + [sys.executable, os.path.abspath(__file__), "--inside", order], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=150, check=False)
    try:
        return json.loads(p.stdout)
    except ValueError:
        said = p.stderr.strip().splitlines()
        return {"skip" if "unshare" in p.stderr else "error": said[-1] if said else "exit %d" % p.returncode}


def name_of(r, sick):
    return "%s.%s.facts" % (r.name, "sick" if sick else "healthy")


# ---- judging ----------------------------------------------------------------------------------------------
def agrees(want, e):
    if e is None:
        return False
    if want == "rises":
        return e["b"] > e["a"]
    if isinstance(want, str) and want.startswith(">="):
        return e["b"] >= int(want[2:])
    return want in (e.get("text"), e.get("b"))


def faults_of_sick(r, got):
    found = [f for f in got["report"]["findings"] if f["id"] == r.rule or not of_machine(f, got)]
    if not found:
        return ["no finding; follows %s" % got["report"]["follows"]]
    first, bad = found[0], []
    if (first["id"], first["sure"]) != (r.rule, r.sure):
        bad.append("leading %s (%s), wanted %s (%s)" % (first["id"], first["sure"], r.rule, r.sure))
    keys = {e["k"]: e for f in found if f["id"] == r.rule for e in f["evidence"]}
    bad += ["%s: wanted %s, got %s" % (k, w, keys.get(k)) for k, w in r.evidence.items() if not agrees(w, keys.get(k))]
    bad += ["beside it: %s (%s)" % (f["id"], f["sure"]) for f in found if f["id"] not in r.also | {r.rule}]
    want = max({"critical": 2, "warning": 1}.get(f["severity"], 0) for f in got["report"]["findings"])  # the machine's too
    if got["exit"] != want and first["id"] == r.rule:
        bad.append("exit %d, wanted %d" % (got["exit"], want))
    return bad


def faults_of_twin(r, got):
    bad = []
    for f in got["report"]["findings"]:
        if of_machine(f, got) or (f["id"] in r.calm and f["severity"] == "info"):
            continue
        bad.append("%s (%s, %s): %s" % (f["id"], f["severity"], f["sure"], [(e["k"], e.get("text", e.get("b"))) for e in f["evidence"]]))
    return bad + (["exit %d" % got["exit"]] if got["exit"] not in (0, 1, 2) else [])


def marks(r, sick, got):
    """What each rule said, for the matrix: # led as it should, + an accepted companion, f follows, ! should not be."""
    out = {f["id"]: "f" for f in got["report"]["follows"]}
    for f in got["report"]["findings"]:
        if sick and f["id"] == r.rule:
            out[f["id"]] = "#"
        elif f["id"] in (r.also | {r.rule} if sick else r.calm) or of_machine(f, got):
            out[f["id"]] = "+"
        else:
            out[f["id"]] = "!"
    return out


def matrix(rows, seen):
    rules = list(dict.fromkeys(r.rule for r in rows)) + sorted({i for m in seen.values() for i in m} - {r.rule for r in rows})
    print("# matrix: # leads, + accepted beside it, f follows from it, ! must not be; a second line: what was said of the twin")
    for n, rule in enumerate(rules):
        print("#   %2d %s" % (n + 1, rule))
    print("# %-20s %s" % ("", " ".join("%2d" % (n + 1) for n in range(len(rules)))))
    for r in rows:
        for sick in (True, False):
            m = seen.get((r.name, sick))
            if m or m is not None and sick:
                print("# %-20s %s" % (r.name if sick else "", " ".join(" " + m.get(rule, ".") for rule in rules)))


# ---- recordings -------------------------------------------------------------------------------------------
def keep(path, packed):
    """Nothing of this machine stays in a recording but the kernel's answers: no paths of it, no clock."""
    with open(path, encoding="ascii") as f:
        text = f.read()
    for place in (TOP, os.path.realpath(TOP), sys.prefix, sys.base_prefix):
        text = text.replace(place, "/usr")
    text = re.sub(r"/tmp/patient-\w+", "/tmp/patient", text)
    text = re.sub(r"weir-patient-patient-\w+", "weir-patient", text)
    text = re.sub(r"^(look [ab] \d+ \d+) \d+", r"\1 0", text, flags=re.M)
    small = gzip.compress(text.encode("ascii"), 9, mtime=0)
    os.unlink(path)
    if len(small) > KEPT_MAX:
        print("# %s: %d bytes packed are too many to keep" % (os.path.basename(packed), len(small)))
        return
    with open(packed, "wb") as f:
        f.write(small)


def main():
    names, quick, jobs, record = [], False, 2, None
    args = iter(sys.argv[1:])
    for a in args:
        if a == "--quick":
            quick = True
        elif a == "--jobs":
            jobs = int(next(args))
        elif a == "--record":
            record = os.path.abspath(next(args))
        elif a.startswith("-"):
            print("patients.py: unknown option %s" % a, file=sys.stderr)
            return 64
        else:
            names.append(a)
    rows = [r for r in ROWS if (r.name in names if names else r.quick or not quick)]
    return run_all(rows, jobs, record)


def run_all(rows, jobs, record):
    began, seen, count, failed = time.time(), {}, 0, 0
    print("1..%d" % (2 * len(rows)))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        work = [(r, sick, pool.submit(look, r, sick, record and os.path.join(record, name_of(r, sick))))
                for r in rows for sick in (True, False)]
        for r, sick, future in work:
            got, count = future.result(), count + 1
            label = "%s: %s" % (r.name, "%s, %s" % (r.rule, r.sure) if sick else "its healthy twin has no finding")
            if "skip" in got:
                print("ok %d - %s # SKIP %s" % (count, label, got["skip"]), flush=True)
                continue
            if r.computes and sick and got.get("crowded") and not any(f["id"] == r.rule for f in got["report"]["findings"]):
                print("ok %d - %s # SKIP processors are short on this machine" % (count, label), flush=True)
                continue
            bad = [got["error"]] if "error" in got else (faults_of_sick if sick else faults_of_twin)(r, got)
            failed += bool(bad)
            print("%sok %d - %s" % ("not " if bad else "", count, label))
            for line in bad:
                print("#   %s" % line)
            sys.stdout.flush()
            if "report" in got:
                seen[r.name, sick] = marks(r, sick, got)
                if record and not bad:
                    path = os.path.join(record, name_of(r, sick))
                    keep(path, path + ".gz")
    matrix(rows, seen)
    print("# %d examinations in %.0f s" % (count, time.time() - began))
    return 1 if failed else 0


def inside(order):
    o = json.loads(order)
    r = next(r for r in ROWS if r.name == o["name"])
    print(json.dumps(beds.inside(r, o["argv"], o["sick"], WEIR, SECONDS, o["record"])))
    return 0


if __name__ == "__main__":
    sys.exit(inside(sys.argv[2]) if sys.argv[1:2] == ["--inside"] else main())
