#!/usr/bin/env python3
"""doctor_cost.py [SOCKETS [COMMAND...]]: what an examination costs, on a server with many connections.

Makes a network namespace of its own with one server (one epoll set over all its connections) and its clients, runs the
command (PID stands for the server's; by default: weir doctor PID -t 1) on it five times and prints the processor time and the
largest memory of each run. Needs root, for the namespace and the limits. Everything ends with it.
"""
import os, resource, select, signal, socket, sys

CLIENTS = 4


def limits(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(n, hard) if os.geteuid() == 0 else hard, max(n, hard)))


def server(n, ready):
    limits(n + 100)
    listener = socket.socket()
    listener.bind(("0.0.0.0", 8000))
    listener.listen(4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    os.write(ready, b"L")
    conns = []
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                try:
                    while True:
                        c, _ = listener.accept()
                        c.setblocking(False)
                        poll.register(c, select.EPOLLIN)
                        conns.append(c)
                except BlockingIOError:
                    pass
                if len(conns) == n:
                    os.write(ready, b"A")
            else:
                os.read(fd, 4096)


def client(n, number):
    limits(n + 100)
    conns = []
    for _ in range(n):
        c = socket.socket()
        c.connect((f"127.0.0.{number + 2}", 8000))
        c.send(b"hello")
        conns.append(c)
    while True:
        signal.pause()


def child(fn, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        fn(*args)
    finally:
        os._exit(1)


def measure(command):
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, use = os.wait4(pid, 0)
    print(f"cpu {(use.ru_utime + use.ru_stime) * 1000:.0f} ms (user {use.ru_utime * 1000:.0f}, system {use.ru_stime * 1000:.0f}), "
          f"memory {use.ru_maxrss / 1024:.1f} MB, exit {os.waitstatus_to_exitcode(status)}", flush=True)
    return use.ru_utime + use.ru_stime, use.ru_maxrss / 1024


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 19000
    build = os.environ.get("WEIR_BUILD", "build")
    command = sys.argv[2:] or [f"{build}/weir", "doctor", "PID", "-t", "1"]
    if os.environ.get("DOCTOR_COST_INSIDE") != "1":
        os.environ["DOCTOR_COST_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, str(n), *command])
    run(n, command)


def run(n, command):
    os.system("ip link set lo up")
    read, write = os.pipe()
    pids = [child(server, n, write)]
    try:
        os.read(read, 1)
        pids += [child(client, n // CLIENTS + (n % CLIENTS if i == 0 else 0), i) for i in range(CLIENTS)]
        os.read(read, 1)
        print(f"{n} connections, both ends here", flush=True)
        runs = [measure([str(pids[0]) if a == "PID" else a for a in command]) for _ in range(5)]
        print(f"median: cpu {sorted(r[0] for r in runs)[2] * 1000:.0f} ms, memory {sorted(r[1] for r in runs)[2]:.1f} MB")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


main()
