#!/usr/bin/env python3
"""doctor_p99.py [ROUNDS [SECONDS]]: what a server under load feels of the doctor beside it.

nginx and weir, one worker each on core 0, answer `wrk -c 64 --latency` on core 1 for rounds of SECONDS (3), interleaved:
alone, with `weir doctor --watch=1s :PORT`, with `weir top --interval 1s --json :PORT`. The watchers run on whichever core the
kernel gives them, as they would at night. Prints, for each server and watcher, the median and the best round of p50 and p99,
requests/s, and the processor time of the server for each request. Makes a network namespace of its own (root); what it
starts is bounded and ends with it.
"""
import os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", "build"))
WEIR = os.path.join(BUILD, "weir")
TICK = os.sysconf("SC_CLK_TCK")
NULL = subprocess.DEVNULL

NGINX = """worker_processes 1;
daemon off;
pid {run}/nginx.pid;
error_log {run}/nginx.err;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{ listen 127.0.0.1:{port}; root {run}/www; }}
}}
"""
WEIR_CONF = """worker_processes 1;
daemon off;
pid weir.pid;
error_log weir.err;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{ listen 127.0.0.1:{port}; root {run}/www; }}
}}
"""
SERVERS = {"nginx": (8001, NGINX, ["nginx", "-p", "{run}", "-c", "{conf}"]),
           "weir": (8002, WEIR_CONF, [WEIR, "-p", "{run}", "-c", "{conf}"])}
WATCHERS = {"alone": None,
            "doctor --watch=1s": [WEIR, "doctor", "--watch=1s", ":{port}"],
            "top --interval 1s": [WEIR, "top", "--interval", "1s", "--json", ":{port}"]}


def start(name, run):
    port, text, command = SERVERS[name]
    conf = os.path.join(run, name + ".conf")
    with open(conf, "w") as f:
        f.write(text.format(run=run, port=port))
    p = subprocess.Popen(["taskset", "-c", "0"] + [a.format(run=run, conf=conf) for a in command], stdout=NULL, stderr=NULL)
    end = time.time() + 20
    while time.time() < end and p.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return p
        except OSError:
            time.sleep(0.05)
    end_of(p)
    sys.exit(f"{name} does not answer on port {port}; its log is in {run}")


def end_of(p):
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def family(pid):
    """The process and all its descendants."""
    out = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as f:
            for child in f.read().split():
                out += family(int(child))
    return out


def cpu_of(pids):
    """Seconds of processor time up to now."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


UNIT = {"us": 1, "ms": 1e3, "s": 1e6}


def latency(text, percent):
    number, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", text, re.M).groups()
    return float(number) * UNIT[unit]


def one_round(server, port, watcher, seconds):
    command = WATCHERS[watcher]
    beside = command and subprocess.Popen([a.format(port=port) for a in command], stdin=NULL, stdout=NULL, stderr=NULL)
    try:
        if beside:
            time.sleep(0.3)  # its start is no part of the question
            if beside.poll() is not None:
                sys.exit(f"{' '.join(command)} ended by itself with {beside.returncode}")
        pids = family(server.pid)
        before = cpu_of(pids)
        load = subprocess.run(["taskset", "-c", "1", "wrk", "-t", "1", "-c", "64", "-d", f"{seconds}s", "--latency",
                               f"http://127.0.0.1:{port}/1k.bin"], capture_output=True, text=True, timeout=seconds + 60)
        used = cpu_of(pids) - before
        if beside and beside.poll() is not None:
            sys.exit(f"{' '.join(command)} ended during the round with {beside.returncode}")
    finally:
        if beside:
            end_of(beside)
    text = load.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit("requests failed beside " + watcher + ":\n" + text)
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    return latency(text, 50), latency(text, 99), rate, used * 1e6 / requests


def table(rounds):
    print("| server | beside it | p50 us: median, best | p99 us: median, best | requests/s: median, best | CPU us per request: median, best |")
    print("|---|---|--:|--:|--:|--:|")
    for (name, watcher), got in rounds.items():
        cells = []
        for i, best, digits in ((0, min, 0), (1, min, 0), (2, max, 0), (3, min, 2)):
            column = [r[i] for r in got]
            cells.append(f"{statistics.median(column):,.{digits}f}, {best(column):,.{digits}f}")
        print(f"| {name} | {watcher} | " + " | ".join(cells) + " |")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if os.environ.get("DOCTOR_P99_INSIDE") != "1":
        os.environ["DOCTOR_P99_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, str(n), str(seconds)])
    for tool in ("wrk", "nginx"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed: tools/install_deps bench")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    run, servers = tempfile.mkdtemp(prefix="doctor_p99."), {}
    try:
        os.chmod(run, 0o755)
        os.mkdir(os.path.join(run, "www"))
        with open(os.path.join(run, "www", "1k.bin"), "wb") as f:
            f.write(b"x" * 1024)
        for name in SERVERS:
            servers[name] = start(name, run)
        rounds = {(name, watcher): [] for name in SERVERS for watcher in WATCHERS}
        for _ in range(n):
            for name, watcher in rounds:
                rounds[name, watcher].append(one_round(servers[name], SERVERS[name][0], watcher, seconds))
        table(rounds)
        print(f"\n{n} rounds of {seconds} s; load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    finally:
        for p in servers.values():
            end_of(p)
        shutil.rmtree(run, ignore_errors=True)


main()
