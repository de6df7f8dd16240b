#!/usr/bin/env python3
"""weir beside its peers on one machine: CPU per request, requests/s, memory of idle connections.

Each server runs alone, pinned to core 0 with one worker; the load generator is pinned to core 1. Rounds are interleaved
(A B C A B C ...) so that a slow spell of the machine touches everybody, and medians are reported. Traffic stays on 127.0.0.1
and every load is bounded.

    perf/peers/peers.py --list
    perf/peers/peers.py small-keepalive                        every installed server that can do it
    perf/peers/peers.py hello shortconn --servers nginx,weir
    perf/peers/peers.py all --json out.json                    what `make bench-peers` runs

To add a server: one entry in SERVERS and one template beside this file. In a template @NAME@ stands for: PORT (plain HTTP),
TLS (HTTPS), DOCROOT (has 1k.bin, 10m.bin), CERT, KEY, PEM (both), RUN (a scratch folder). A server answers /hello from
memory, /1k.bin and /10m.bin from DOCROOT, on PORT and on TLS. Readiness is a successful connect to the port.

The robust figure is CPU seconds of the whole server, children included, per 1000 requests. With two cores the load generator
is often the bottleneck of requests/s: see srv%, the share of core 0 the server used, cli%, the same of the client on
core 1, and other%, what was neither (100 = one core).
"""
import argparse, json, os, re, resource, shutil, signal, socket, ssl, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
PORT, TLS = 18080, 18443
SRV_CORE, CLI_CORE = "0", "1"
TICK = os.sysconf("SC_CLK_TCK")
NICE = []  # a prefix of each command, see --sched

# what: which kinds of work it can do.  cmd: {bin} {conf} {run} {body} {docroot} are filled in.
# ours: not a peer, so not what the others are measured against.  path: where it differs.
SERVERS = {
    "weir": dict(bin=os.path.join(BUILD, "weir"), cmd="{bin} -p {run} -c {conf}", conf="weir.conf", ours=True,
                 what="file big hello tls idle http10", version="{bin} -v"),
    "nginx": dict(bin="nginx", cmd="{bin} -p {run} -c {conf}", conf="nginx.conf",
                  what="file big hello tls idle http10", version="{bin} -v"),
    "haproxy": dict(bin="haproxy", cmd="{bin} -db -f {conf}", conf="haproxy.cfg",
                    what="file hello tls idle http10", version="{bin} -v",
                    note="no files: the 1 KiB body is in memory"),
    "h2o": dict(bin="h2o", cmd="{bin} -c {conf}", conf="h2o.yaml",
                what="file big tls idle http10", version="{bin} -v"),
    "lighttpd": dict(bin="lighttpd", cmd="{bin} -D -f {conf}", conf="lighttpd.conf",
                     what="file big tls idle http10", version="{bin} -v"),
    "caddy": dict(bin="caddy", cmd="{bin} run --config {conf}", conf="caddy.json",
                  env={"GOMAXPROCS": "1"}, what="file big hello tls idle http10", version="{bin} version"),
    # the floor: one answer from memory, an epoll loop and nothing else
    "floor": dict(bin=os.path.join(BUILD, "perf/bare_epoll"), cmd="{bin} -p {port} -S {body} -d -i", ours=True, what="file hello"),
}

# gen: which load generator; n: connections; needs: what the server must be able to do.
WORKLOADS = {
    "small-keepalive": dict(gen="wrk", n=64, needs="file", path="/1k.bin"),
    "hello": dict(gen="wrk", n=64, needs="hello", path="/hello", body=13),
    "hello-512": dict(gen="wrk", n=512, needs="hello", path="/hello", body=13),
    "hello-4000": dict(gen="wrk", n=4000, needs="hello", path="/hello", body=13),
    "hello-1": dict(gen="wrk", n=1, needs="hello", path="/hello", body=13),
    "shortconn": dict(gen="wrk", n=64, needs="file", path="/1k.bin", close=True),
    "crowd": dict(gen="crowd", n=1000, needs="http10", path="/1k.bin", close=True),
    "bigfile": dict(gen="wrk", n=16, needs="big", path="/10m.bin", body=10 << 20),
    "tls-keepalive": dict(gen="wrk", n=64, needs="tls", path="/1k.bin", port=TLS, tls=True),
    "tls-handshake": dict(gen="wrk", n=32, needs="tls", path="/1k.bin", port=TLS, tls=True, close=True),
    "tls-bigfile": dict(gen="wrk", n=16, needs="tls", path="/10m.bin", port=TLS, tls=True),
    "idle-mem": dict(gen="idle", n=9000, needs="idle", path="/1k.bin"),
    "idle-mem-tls": dict(gen="idle", n=2000, needs="tls", path="/1k.bin", port=TLS, tls=True),
}


# ---- /proc -------------------------------------------------------------------------------------
def tree(pid):
    """pid and all its descendants."""
    kids = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open(f"/proc/{d}/stat") as f:
                    kids.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(d))
            except OSError:
                pass
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu_of(pid):
    """utime + stime + those of reaped children, seconds, over the whole tree."""
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/stat") as f:
                total += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15]))
        except OSError:
            pass
    return total / TICK


def core_times():
    """(busy, steal) seconds of all cores together."""
    with open("/proc/stat") as f:
        v = list(map(int, f.readline().split()[1:9]))
    return (sum(v) - v[3] - v[4] - v[7]) / TICK, v[7] / TICK


def memory_of(pid):
    """RSS, and the private part of it, of the tree, bytes. Shared rings of fixed size fill up with the first connections; they are not the connections'."""
    rss = private = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                t = f.read()
            rss += int(re.search(r"^Rss:\s+(\d+)", t, re.M)[1]) * 1024
            private += int(re.search(r"^Anonymous:\s+(\d+)", t, re.M)[1]) * 1024
        except (OSError, TypeError):
            pass
    return rss, private


def kernel_memory():
    """(slab, TCP buffer) bytes of the whole machine."""
    with open("/proc/meminfo") as f:
        slab = int(re.search(r"^Slab:\s+(\d+)", f.read(), re.M)[1]) * 1024
    with open("/proc/net/sockstat") as f:
        tcp = int(re.search(r"^TCP:.* mem (\d+)", f.read(), re.M)[1]) * os.sysconf("SC_PAGE_SIZE")
    return slab, tcp


# ---- servers -----------------------------------------------------------------------------------
class Server:
    def __init__(self, name, lab, work, core=SRV_CORE):
        self.name, self.spec = name, lab.servers[name]
        self.run = os.path.join(lab.tmp, "run-" + name)
        os.makedirs(self.run, exist_ok=True)
        os.chmod(self.run, 0o777)
        conf = ""
        if self.spec.get("conf"):
            with open(os.path.join(HERE, self.spec["conf"])) as f:
                text = f.read()
            for k, v in dict(lab.vars, RUN=self.run).items():
                text = text.replace("@%s@" % k, str(v))
            conf = os.path.join(self.run, self.spec["conf"])
            with open(conf, "w") as f:
                f.write(text)
        argv = [a.format(bin=lab.binary(name), conf=conf, run=self.run, port=PORT, body=work.get("body", 1024),
                         docroot=lab.vars["DOCROOT"]) for a in self.spec["cmd"].split()]
        self.log = open(os.path.join(self.run, "log"), "ab")
        want = work.get("port", PORT)
        deadline = time.time() + 10
        while True:
            free_port(want)
            self.proc = subprocess.Popen(NICE + ["taskset", "-c", core] + argv, cwd=self.run, stdin=subprocess.DEVNULL,
                                         stdout=self.log, stderr=self.log, env=dict(os.environ, HOME=self.run,
                                         XDG_DATA_HOME=self.run, XDG_CONFIG_HOME=self.run, **self.spec.get("env", {})),
                                         start_new_session=True)
            while self.proc.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", want), 0.2).close()
                    time.sleep(0.2)
                    return
                except OSError:
                    if time.time() > deadline:
                        self.stop()
                        break
                    time.sleep(0.05)
            if time.time() > deadline:
                raise RuntimeError(f"{name} did not come up: see {self.run}/log")
            time.sleep(0.3)  # an old listener may still be on its way out

    def stop(self):
        pids = tree(self.proc.pid)
        self.proc.terminate()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        for p in pids[1:]:
            for _ in range(20):
                if not os.path.exists(f"/proc/{p}"):
                    break
                time.sleep(0.05)
            else:
                try:
                    os.kill(p, signal.SIGKILL)
                except OSError:
                    pass
        self.log.close()


def free_port(port):
    for _ in range(60):
        try:
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            s.close()
            return
        except OSError:
            s.close()
            time.sleep(0.1)


# ---- load generators ---------------------------------------------------------------------------
def spawn(argv, timeout):
    """Run a client on its core; (output, its CPU seconds, wall seconds)."""
    t0, c0 = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run(NICE + ["taskset", "-c", CLI_CORE] + argv, capture_output=True, text=True, timeout=timeout, errors="replace")
    c1 = resource.getrusage(resource.RUSAGE_CHILDREN)
    return p.stdout + p.stderr, c1.ru_utime + c1.ru_stime - c0.ru_utime - c0.ru_stime, time.time() - t0


def unit(s):
    """wrk's "1.23ms" -> seconds."""
    m = re.match(r"([\d.]+)(us|ms|s|m|h)?$", s)
    return float(m[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, None: 1}[m[2]] if m else None


def gen_wrk(url, w, secs, lab):
    argv = [lab.tool("wrk"), "-t1", "-c%d" % w["n"], "-d%ds" % secs, "--latency", "--timeout", "8s"]
    if w.get("close"):
        argv += ["-H", "Connection: close"]
    out, cpu, wall = spawn(argv + [url], secs + 30)
    m = re.search(r"(\d+) requests in ([\d.]+\w+), ([\d.]+)(\w+) read", out)
    if not m:
        return dict(error=out.strip()[-200:])
    req, dur = int(m[1]), unit(m[2])
    err = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
    non2 = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    pct = {a: unit(b) for a, b in re.findall(r"^\s+(50|99)%\s+(\S+)", out, re.M)}
    nbytes = float(m[3]) * {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[m[4]]
    return dict(req=req, rps=req / dur, p50=pct.get("50"), p99=pct.get("99"), bytes=nbytes, mbs=nbytes / dur / 1e6,
                errors=err + (int(non2[1]) if non2 else 0), ccpu=cpu, wall=wall)


def gen_crowd(url, w, secs, lab):
    """Webbench's way: that many processes, a connection for every request, HTTP/1.0."""
    out, cpu, wall = spawn([os.path.join(BUILD, "perf/crowd"), str(w["n"]), str(secs), str(w.get("port", PORT)), w["path"]], secs + 60)
    m = re.search(r"(\d+) answered, (\d+) failed", out)
    if not m:
        return dict(error=out.strip()[-200:])
    return dict(req=int(m[1]), rps=int(m[1]) / secs, p50=None, p99=None, mbs=0, errors=int(m[2]), ccpu=cpu, wall=wall)


GENERATORS = dict(wrk=gen_wrk, crowd=gen_crowd)


def idle(server, w, lab):
    """Open n keep-alive connections, one request on each, and see what they hold."""
    n, port = w["n"], w.get("port", PORT)
    os.sched_setaffinity(0, {int(CLI_CORE)})
    ctx = None
    if w.get("tls"):
        ctx = ssl.create_default_context()
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    request = ("GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lab\r\nAccept: */*\r\n\r\n" % w["path"]).encode()
    socks, errors = [], 0

    def one(src):
        s = socket.socket()
        s.settimeout(10)
        s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        s.bind((src, 0))
        s.connect(("127.0.0.1", port))
        if ctx:
            s = ctx.wrap_socket(s)
        s.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(8192)
            if not more:
                raise OSError("closed")
            got += more
        m = re.search(rb"(?i)content-length: *(\d+)", got)
        want = got.index(b"\r\n\r\n") + 4 + (int(m[1]) if m else 0)
        while len(got) < want:
            more = s.recv(8192)
            if not more:
                raise OSError("closed")
            got += more
        return s

    try:
        for _ in range(50):  # warm: workers, caches, allocator arenas
            one("127.0.0.2").close()
        time.sleep(1)
        rss0, private0 = memory_of(server.proc.pid)
        slab0, tcp0 = kernel_memory()
        t0, c0 = time.time(), cpu_of(server.proc.pid)
        for i in range(n):
            try:
                socks.append(one("127.0.0.%d" % (2 + i // 10000)))
            except OSError:
                errors += 1
                if errors > 100:
                    break
        t1 = time.time()
        time.sleep(2)
        rss1, private1 = memory_of(server.proc.pid)
        slab1, tcp1 = kernel_memory()
        c1 = cpu_of(server.proc.pid)
        alive = 0
        for s in socks:
            s.setblocking(False)
            try:
                if s.recv(1) == b"":
                    continue
            except (BlockingIOError, ssl.SSLWantReadError):
                alive += 1
            except OSError:
                pass
        time.sleep(1)
        cidle0 = cpu_of(server.proc.pid)
        time.sleep(3)
        cidle = cpu_of(server.proc.pid) - cidle0
        k = max(len(socks), 1)
        return dict(conns=len(socks), alive=alive, errors=errors, rss=(rss1 - rss0) / k, private=(private1 - private0) / k, base=rss0,
                    slab=(slab1 - slab0) / k / 2, tcp=(tcp1 - tcp0) / k / 2, setup=k / (t1 - t0), cpu=(c1 - c0) / k * 1e6,
                    idle_cpu=cidle / 3)
    finally:
        for s in socks:
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
            except OSError:
                pass
        os.sched_setaffinity(0, range(os.cpu_count()))


# ---- the lab -----------------------------------------------------------------------------------
class Lab:
    def __init__(self, a):
        if os.geteuid() == 0:
            NICE[:] = dict(rt=["chrt", "-r", "1"], nice=["nice", "-n", "-15"], none=[])[a.sched]
        self.tmp = tempfile.mkdtemp(prefix="weir-peers-")
        os.chmod(self.tmp, 0o755)
        self.servers = {k: dict(v) for k, v in SERVERS.items()}
        self.bins = {}
        for item in a.add:  # NAME=BASE:PATH, a second build of a known server
            name, rest = item.split("=", 1)
            base, path = rest.split(":", 1)
            self.servers[name] = dict(self.servers[base], bin=os.path.abspath(path), base=base)
        for item in a.bin:  # NAME=PATH, a server or a tool
            name, path = item.split("=", 1)
            self.bins[name] = os.path.abspath(path)
        doc = os.path.join(self.tmp, "doc")
        os.mkdir(doc)
        with open(os.path.join(doc, "1k.bin"), "wb") as f:
            f.write(b"x" * 1024)
        with open(os.path.join(doc, "10m.bin"), "wb") as f:
            f.write(os.urandom(1 << 20) * 10)
        cert, key = os.path.join(self.tmp, "cert.pem"), os.path.join(self.tmp, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
                        cert], check=True, capture_output=True)
        pem = os.path.join(self.tmp, "both.pem")
        with open(pem, "w") as f:
            f.write(open(cert).read() + open(key).read())
        for p in (key, pem):
            os.chmod(p, 0o644)  # a throwaway key of this run
        self.vars = dict(PORT=PORT, TLS=TLS, DOCROOT=doc, CERT=cert, KEY=key, PEM=pem)

    def binary(self, name):
        b = self.bins.get(name) or self.servers[name]["bin"]
        return shutil.which(b) or ""

    def tool(self, name):
        return self.bins.get(name) or shutil.which(name) or name

    def able(self, name, w):
        s = self.servers[name]
        return bool(self.binary(name)) and os.path.exists(self.binary(name)) and w["needs"] in s["what"].split()

    def version(self, name):
        v = self.servers[name].get("version")
        if not v:
            return ""
        p = subprocess.run(v.format(bin=self.binary(name)).split(), capture_output=True, text=True)
        return (p.stdout + p.stderr).strip().split("\n")[0][:70]

    def once(self, name, w, secs):
        server = Server(name, self, w)
        try:
            if w["gen"] == "idle":
                return idle(server, w, self)
            url = "%s://127.0.0.1:%d%s" % ("https" if w.get("tls") else "http", w.get("port", PORT),
                                           self.servers[name].get("path", {}).get(w["path"], w["path"]))
            gen_wrk(url, dict(w, n=min(w["n"], 32)), 1, self)  # warm-up
            c0, b0, s0, t0 = cpu_of(server.proc.pid), *core_times(), time.time()
            r = GENERATORS[w["gen"]](url, w, secs, self)
            c1, b1, s1, t1 = cpu_of(server.proc.pid), *core_times(), time.time()
            if r.get("error") is None and r["req"]:
                srv = c1 - c0
                r.update(cpu=srv, us=srv / r["req"] * 1e6, srv=srv / (t1 - t0), steal=(s1 - s0) / (t1 - t0), cli=r["ccpu"] / (t1 - t0),
                         cus=r["ccpu"] / r["req"] * 1e6, other=(b1 - b0 - srv - r["ccpu"]) / (t1 - t0))
            return r
        finally:
            server.stop()


def med(rows, key):
    v = [r[key] for r in rows if r.get(key) is not None]
    return statistics.median(v) if v else None


def fmt(x, f="%.1f"):
    return "-" if x is None else f % x


def ms(x):
    return "-" if x is None else "%.2f" % (x * 1e3)


def report(wname, w, names, res, lab):
    out = ["", "### %s (%s, %d connections%s)" % (wname, w["gen"], w["n"], ", close" if w.get("close") else "")]
    good = {n: [r for r in res[n] if "error" not in r] for n in names}
    bad = {n: [r["error"] for r in res[n] if "error" in r] for n in names}
    if w["gen"] == "idle":
        out += ["", "| server | held | RSS/conn B | private/conn B | kernel slab/socket B | TCP buf/socket B | base RSS MiB | setup CPU us/conn "
                "| idle CPU % | errors |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for n in sorted(names, key=lambda n: med(good[n], "private") if good[n] else 1e18):
            g = good[n]
            out.append("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |" % (n, fmt(med(g, "alive"), "%d"), fmt(med(g, "rss"), "%d"),
                       fmt(med(g, "private"), "%d"), fmt(med(g, "slab"), "%d"), fmt(med(g, "tcp"), "%d"),
                       fmt((med(g, "base") or 0) / 2**20), fmt(med(g, "cpu")), fmt(100 * (med(g, "idle_cpu") or 0)),
                       fmt(med(g, "errors"), "%d") if g else bad[n][:1]))
        return "\n".join(out)
    fit = lambda n: sum(r["errors"] for r in good[n]) <= 0.01 * sum(r["req"] for r in good[n])  # one that answers errors is no peer
    peers = [n for n in names if good[n] and fit(n) and not lab.servers[n].get("ours")]
    top = max((med(good[n], "rps") for n in peers), default=None)
    low = min((med(good[n], "us") for n in peers if med(good[n], "us")), default=None)
    out += ["", "| server | req/s | vs best peer | MB/s | p50 ms | p99 ms | CPU s/1k req | CPU vs best peer | srv% | cli% | other% "
            "| cli us/req | spread | errors |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for n in sorted(names, key=lambda n: -(med(good[n], "rps") or 0)):
        g = good[n]
        if not g:
            out.append("| %s | failed: %s |" % (n, bad[n][0].replace("\n", " ")[:100] if bad[n] else ""))
            continue
        r, us = med(g, "rps"), med(g, "us")
        rs = [x["rps"] for x in g]
        out.append("| %s | %.0f | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | ±%.0f%% | %d |" % (
            n, r, fmt(r / top if top else None, "%.2f"), fmt(med(g, "mbs"), "%.0f"), ms(med(g, "p50")), ms(med(g, "p99")),
            fmt(us / 1000 if us else None, "%.5f"), fmt(us / low if us and low else None, "%.2f"), fmt(100 * (med(g, "srv") or 0), "%.0f"),
            fmt(100 * (med(g, "cli") or 0), "%.0f"), fmt(100 * (med(g, "other") or 0), "%.0f"), fmt(med(g, "cus"), "%.1f"), 50 * (max(rs) - min(rs)) / r if r else 0,
            sum(x["errors"] for x in g)))
    return "\n".join(out)


def parser():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("workloads", nargs="*")
    ap.add_argument("--servers", help="comma separated; default: all that are installed")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--secs", type=int, default=4)
    ap.add_argument("--add", action="append", default=[], metavar="NAME=BASE:PATH")
    ap.add_argument("--bin", action="append", default=[], metavar="NAME=PATH")
    ap.add_argument("--json", help="append the raw rounds to this file, one JSON object a workload")
    ap.add_argument("--sched", default="none", choices=["rt", "nice", "none"],
                    help="as root, run server and client as SCHED_RR or at nice -15 when others load the machine (see other%%); "
                    "rt keeps req/s and CPU true, but the kernel gives others 5%% of each second, which shows in p99")
    ap.add_argument("--keep", action="store_true", help="keep the scratch folder")
    ap.add_argument("--list", action="store_true")
    return ap


def main():
    a = parser().parse_args()
    if os.sysconf("SC_NPROCESSORS_ONLN") < 2:
        sys.exit("two cores are needed")
    want = 1 << 17
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(want, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lab = Lab(a)
    try:
        if a.list or not a.workloads:
            print("workloads:", " ".join(WORKLOADS))
            for n in lab.servers:
                print("%-14s %s  %s" % (n, "yes" if os.path.exists(lab.binary(n) or "/nonexistent") else "no ", lab.servers[n]["what"]))
            return
        names = a.servers.split(",") if a.servers else list(lab.servers)
        todo = list(WORKLOADS) if a.workloads == ["all"] else a.workloads
        for wname in todo:
            w = WORKLOADS[wname]
            who = [n for n in names if lab.able(n, w)]
            res = {n: [] for n in who}
            for rnd in range(1 if w["gen"] == "idle" else a.rounds):
                for n in who:
                    try:
                        res[n].append(lab.once(n, w, a.secs))
                    except (RuntimeError, subprocess.SubprocessError) as e:
                        res[n].append(dict(error=str(e)))
                    print(".", end="", file=sys.stderr, flush=True)
            print(report(wname, w, who, res, lab), flush=True)
            if a.json:
                with open(a.json, "a") as f:
                    f.write(json.dumps(dict(workload=wname, at=time.strftime("%F %T"), secs=a.secs, results=res)) + "\n")
        print("\nVersions: " + "; ".join("%s %s" % (n, lab.version(n)) for n in names if lab.binary(n) and lab.version(n)))
    finally:
        if a.keep:
            print("kept", lab.tmp, file=sys.stderr)
        else:
            shutil.rmtree(lab.tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
