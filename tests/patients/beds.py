"""Where a patient lies: a network, process and mount namespace of its own, and what single patients need besides.

Everything here runs inside the namespaces, once for each examination, and ends with them.
"""
import fcntl, json, os, resource, select, shlex, shutil, socket, struct, subprocess, sys, tempfile, time

PORT = 8080


class Skip(Exception):
    """This machine cannot show the disease; says why."""


# ---- the way in ----------------------------------------------------------------------------------------
def unshare():
    """The command that makes the namespaces. Without root a user namespace gives the right to."""
    own = [] if os.geteuid() == 0 else ["-r"]
    return ["unshare"] + own + ["-n", "-m", "-p", "-f", "--mount-proc", "--kill-child"]


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = struct.pack("16sh", b"lo", 0x1 | 0x8 | 0x40)  # UP, LOOPBACK, RUNNING
        fcntl.ioctl(s, 0x8914, name + bytes(22))  # SIOCSIFFLAGS


def sysctl(path, value):
    with open("/proc/sys/" + path, "w", encoding="ascii") as f:
        f.write(value)


def run(*argv):
    if not shutil.which(argv[0]):
        raise Skip("%s is not installed" % argv[0])
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if p.returncode != 0:
        raise Skip("%s: %s" % (" ".join(argv[:4]), p.stdout.strip().splitlines()[0] if p.stdout.strip() else p.returncode))


# ---- what single patients need -------------------------------------------------------------------------
def narrow_ports(bed):
    sysctl("net/ipv4/ip_local_port_range", "40000 40199")
    sysctl("net/ipv4/tcp_tw_reuse", "0")


def nowhere(bed):
    """10.9/16 lies behind a wire whose far end drops what is not its own."""
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    run("ip", "link", "set", "v0", "up", "arp", "off")
    run("ip", "link", "set", "v1", "up")
    run("ip", "addr", "add", "10.9.0.1/16", "dev", "v0")


def flooded(bed):
    nowhere(bed)
    sysctl("net/ipv4/conf/all/rp_filter", "0")
    sysctl("net/ipv4/conf/lo/rp_filter", "0")
    sysctl("net/ipv4/tcp_max_syn_backlog", "16")


def wire(bed):
    """The clients go to the other end of it."""
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    run("ip", "addr", "add", "10.8.0.1/24", "dev", "v0")
    run("ip", "link", "set", "v0", "up")


def lossy(bed):
    """One packet in ten is dropped, by chance, where it arrives: what is dropped on leaving does not count as sent."""
    wire(bed)
    if bed.sick:
        drop = "4,32 0 0 4294963256,53 0 1 3865470566,6 0 0 2,6 0 0 4294967295"  # random > 90 %: TC_ACT_SHOT
        far_away(bed, ["qdisc", "add", "dev", "v1", "clsact"], ["filter", "add", "dev", "v1", "ingress", "bpf", "da", "bytecode", drop])


def narrow_path(bed):
    wire(bed)
    if bed.sick:
        run("tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", "2mbit", "burst", "20k", "limit", "8mb")


def slow_acks(bed):
    """Every acknowledgement takes five milliseconds: a round trip, where there is no other way to make one."""
    wire(bed)
    sysctl("net/ipv4/tcp_autocorking", "0")
    far_away(bed, ["qdisc", "add", "dev", "v1", "root", "tbf", "rate", "100kbit", "burst", "1600", "limit", "1mb"])


def slow_answers(bed):
    """The same for those who send to us: our acknowledgements take five milliseconds."""
    wire(bed)
    run("tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", "100kbit", "burst", "1600", "limit", "1mb")


def far_away(bed, *tc):
    """Will be run at the other end; tried at this one, so that what the kernel lacks is known now."""
    for args in tc:
        run("tc", *args)
    subprocess.run(["tc", "qdisc", "del", "dev", "v1", tc[0][4]], stderr=subprocess.DEVNULL, check=False)
    bed.env["PATIENT_FAR"] = " && ".join(shlex.join(["tc"] + args) for args in tc)


def frozen(bed):
    """A small file system of its own that can be frozen; thawed and gone afterwards."""
    image, where = os.path.join(bed.dir, "disk"), os.path.join(bed.dir, "mnt")
    os.mkdir(where)
    with open(image, "wb") as f:
        f.truncate(8 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop", image, where)
    bed.env["PATIENT_DIR"] = where

    def thaw():
        fd = os.open(where, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, 0xC0045878, 0)  # FITHAW
        except OSError:
            pass
        os.close(fd)
        bed.end()
        subprocess.run(["umount", "-l", where], check=False, stderr=subprocess.DEVNULL)
    bed.after.append(thaw)


def tiny_disk(bed):
    """A file system of its own, of 64 KiB and 16 inodes."""
    where = os.path.join(bed.dir, "mnt")
    os.mkdir(where)
    run("mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=16", "tiny", where)
    bed.env["PATIENT_DIR"] = where

    def gone():
        bed.end()
        subprocess.run(["umount", "-l", where], check=False, stderr=subprocess.DEVNULL)
    bed.after.append(gone)


def tcp_limit(bed):
    """A group whose sockets may have a megabyte. Version 2 has no limit of that kind."""
    group = "/sys/fs/cgroup/memory/weir-patient-%s" % os.path.basename(bed.dir)
    try:
        os.mkdir(group)
        bed.after.append(lambda: remove_group(bed, group))
        with open(os.path.join(group, "memory.kmem.tcp.limit_in_bytes"), "w", encoding="ascii") as f:
            f.write(str(1 << 20))
    except OSError as e:
        raise Skip("no cgroup here limits the memory of sockets: %s" % e) from e
    bed.env["PATIENT_CGROUP"] = os.path.join(group, "cgroup.procs")


def tracked(bed):
    """Connections are tracked in this namespace: a rule that asks for their state is enough. Spoken by hand, for want of nft(8)."""
    room = "/proc/sys/net/netfilter/nf_conntrack_max"
    try:
        with open(room, encoding="ascii") as f:
            entries = int(f.read())
    except OSError as e:
        raise Skip("this kernel tracks no connections: %s" % e) from e
    if entries > 300000:
        raise Skip("%s is %d and cannot be lowered in a namespace: too many entries to make" % (room, entries))
    table, chain = attribute(1, b"t\0"), attribute(3, b"c\0")
    hook = attribute(4 | NESTED, attribute(1, struct.pack(">I", 0)) + attribute(2, struct.pack(">i", 0)))
    state = attribute(1, b"ct\0") + attribute(2 | NESTED, attribute(1, struct.pack(">I", 1)) + attribute(2, struct.pack(">I", 0)))
    rule = attribute(2, b"c\0") + attribute(4 | NESTED, attribute(1 | NESTED, state))
    netfilter([(0, table), (3, table + chain + hook + attribute(7, b"filter\0")), (6, table + rule)])


NESTED, NFT = 0x8000, 10 << 8


def attribute(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def netfilter(changes):
    """One batch of nf_tables messages: each must be acknowledged."""
    def message(kind, flags, family, resource, body=b""):
        body = struct.pack(">BBH", family, 0, resource) + body
        return struct.pack("IHHII", 16 + len(body), kind, flags, 0, 0) + body
    batch = message(16, 1, 0, 10) + b"".join(message(NFT | kind, 1 | 4 | 0x400, 2, 0, body) for kind, body in changes) + message(17, 1, 0, 10)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        s.settimeout(5)
        s.send(batch)
        for _ in changes:
            error = -struct.unpack_from("i", s.recv(8192), 16)[0]
            if error:
                raise Skip("nf_tables: %s" % os.strerror(error))


def quota(bed):
    """A group that may run a tenth of the time."""
    for root, limit in (("/sys/fs/cgroup/cpu", [("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "5000")]),
                        ("/sys/fs/cgroup", [("cpu.max", "5000 50000")])):
        group = os.path.join(root, "weir-patient-%s" % os.path.basename(bed.dir))
        try:
            os.mkdir(group)
            bed.after.append(lambda: remove_group(bed, group))
            for name, value in limit:
                with open(os.path.join(group, name), "w", encoding="ascii") as f:
                    f.write(value)
        except OSError:
            continue
        bed.env["PATIENT_CGROUP"] = os.path.join(group, "cgroup.procs")
        return
    raise Skip("no cgroup here takes a processor quota")


def remove_group(bed, group):
    bed.end()
    for _ in range(50):
        try:
            os.rmdir(group)
            return
        except OSError:
            time.sleep(0.1)


def fifo(bed):
    os.mkfifo(os.path.join(bed.dir, "fifo"))
    bed.args.append(os.path.join(bed.dir, "fifo"))


def go_upstream(bed):
    bed.start([bed.argv[0], "upstream"])


# ---- clients of the patients that bring none --------------------------------------------------------------
def clients(n, text=b"GET / HTTP/1.1\r\nHost: patient\r\n\r\n", first=None):
    """n clients ask; waits until all have an answer or nothing came for 600 ms. Returns the open sockets."""
    fds = []
    for i in range(n):
        s = socket.create_connection(("127.0.0.1", PORT), 5)
        s.sendall(first if i == 0 and first else text)
        s.setblocking(False)
        fds.append(s)
    waiting = list(fds)
    while waiting:
        got = select.select(waiting, [], [], 0.6)[0]
        if not got:
            break
        for s in got:
            waiting.remove(s)
    return fds


def one_bad_number(bed):
    return clients(5, b"7", b"seven")


def six_ask(bed):
    return clients(6)


def ten_ask(bed):
    held = clients(10)
    if bed.sick:
        time.sleep(1.0)  # an answer is overdue after a second
    return held


# ---- the examination ---------------------------------------------------------------------------------------
class Bed:
    def __init__(self, argv, sick):
        self.argv, self.sick, self.args = argv, sick, []
        self.dir = tempfile.mkdtemp(prefix="patient-")
        self.env, self.after, self.processes = {}, [], []

    def start(self, argv):
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=dict(os.environ, **self.env), text=True, cwd="/")
        self.processes.append(p)
        return self.wait(p, 30)

    def wait(self, p, seconds):
        said = ""
        end = time.time() + seconds
        while time.time() < end:
            if not select.select([p.stdout], [], [], 0.5)[0]:
                continue
            line = p.stdout.readline()
            said += line
            word = line.split()
            if word[:1] == ["READY"]:
                return int(word[1])
            if word[:1] == ["UP"]:
                return p.pid
            if not line:
                break
        raise RuntimeError("%s was not ready: %s" % (" ".join(p.args), said.strip()[-300:]))

    def end(self):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()
        self.processes = []

    def clear(self):
        for f in reversed(self.after):
            f()
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)


def pressure_us():
    """For how long somebody waited for a processor, since the machine started; None where the kernel does not tell."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as f:
            return int(f.readline().split("total=")[1])
    except (OSError, ValueError, IndexError):
        return None


def doctor(weir, *args):
    """{"exit", "report", "crowded": whether processors were short meanwhile}, or {"error"}."""
    before, began = pressure_us(), time.monotonic()
    p = subprocess.run([weir, "doctor", "--json"] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    try:
        report = json.loads(p.stdout)
    except ValueError:
        return {"error": "exit %d: %s" % (p.returncode, (p.stderr or p.stdout)[-400:])}
    waited = 1.0 if before is None or "--from" in args else (pressure_us() - before) / 1e6 / (time.monotonic() - began)
    return {"exit": p.returncode, "report": report, "crowded": waited >= 0.2}


def make_older(path, ms):
    """Adds to the silence of every connection in a recording: nobody has a quarter of an hour for a test."""
    lines, columns = [], {}
    with open(path, encoding="ascii") as f:
        for line in f.read().splitlines():
            word = line.split(" ")
            if word[0] == "!tcp":
                columns = {name: i for i, name in enumerate(word)}
            elif word[0] == "tcp":
                for name in ("last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms"):
                    word[columns[name]] = str(int(word[columns[name]]) + ms)
            lines.append(" ".join(word))
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


def give_host(path, numbers):
    """Writes the host's numbers into a recording: {"counter NAME": (first look, last look)}."""
    lines, look = [], 0
    with open(path, encoding="ascii") as f:
        for line in f.read().splitlines():
            if line.startswith("look "):
                look = "ab".index(line[5])
            if " ".join(line.split(" ")[:2]) in numbers:
                continue
            if line.startswith("!socket"):
                lines += ["%s %s" % (name, pair[look]) for name, pair in numbers.items()]
            lines.append(line)
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


def examine(bed, row, weir, seconds, record):
    """The patient is brought in, made ready and looked at."""
    loopback_up()
    keeps = record is not None
    if row.bed:
        row.bed(bed)
    if row.limits and not keeps:
        bed.env["PATIENT_CROWD"] = "2000"
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    pid = bed.start(bed.argv + ["sick" if bed.sick else "healthy"] + bed.args)
    held = row.clients(bed) if row.clients else None
    record = record or (os.path.join(bed.dir, "facts") if row.older_ms or row.host else None)
    limits = row.limits if row.limits and not keeps else []
    got = doctor(weir, "-t", seconds, *limits, *(["--record", record] if record else []), row.target.replace("PID", str(pid)))
    del held
    if (row.older_ms or row.host) and not limits and "report" in got:
        make_older(record, row.older_ms or 0)
        give_host(record, row.host if row.host and bed.sick else {})
        got = doctor(weir, "--from", record)
    return got


def inside(row, argv, sick, weir, seconds, record):
    bed = Bed(argv, sick)
    try:
        return examine(bed, row, weir, seconds, record)
    except Skip as e:
        return {"skip": str(e)}
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        return {"error": "%s: %s" % (type(e).__name__, e)}
    finally:
        bed.clear()


if __name__ == "__main__":
    sys.exit("beds.py is a part of patients.py")
