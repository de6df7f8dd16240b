"""A site with its main context: workers, logs, master. For tests that need more than one process."""
import os, signal, subprocess, time

import sites
from sites import NGINX, Site, folder
from wire import BUILD, free_port, moments, why

MAIN = """daemon off; master_process on; worker_processes {workers}; pid {dir}/pid; {main}
events { worker_connections 512; }
http {
    types { text/html html; text/plain txt; }
    default_type application/octet-stream;
    %(more)s
    {http}
}
"""


class Whole(Site):
    """http and main may name {dir}, {root}, {port}; a name that is not given is left as it is."""

    def __init__(self, http, root, main="error_log {dir}/error.log info;", workers=2, binary=None, dir=None, port=None, before=None):
        self.binary, self.root, self.port, self.dir = binary or os.path.join(BUILD, "weir"), root, port or free_port(), dir or folder()
        self.names = {"dir": self.dir, "root": root, "port": self.port, "workers": workers}
        self.conf = os.path.join(self.dir, "nginx.conf")
        self.write(http, main)
        self.out = open(os.path.join(self.dir, "out"), "w+")
        argv = (before or []) + [self.binary, "-p", self.dir, "-c", self.conf] + (["-e", self.dir + "/start.log"] if self.binary == NGINX else [])
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        sites._sites.append(self)
        for _ in moments(15):
            try:
                with self.connect(1):
                    return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("Bail out! %s has ended:\n%s%s" % (self.binary, self.text(), self.log()))
        raise SystemExit("Bail out! %s does not listen:\n%s%s%s" % (self.binary, self.text(), self.log(), why(self.process.pid, self.port)))

    def stop(self, seconds=10):
        code = Site.stop(self, seconds)
        bad = [x for x in self.text().splitlines() if "Sanitizer" in x or "runtime error" in x]
        return bad if bad else code

    def fill(self, text):
        for name, value in self.names.items():
            text = text.replace("{%s}" % name, str(value))
        return text

    def write(self, http, main="error_log {dir}/error.log info;"):
        more = sites.MORE % {"dir": self.dir} if self.binary == NGINX else ""
        text = MAIN.replace("%(more)s", more).replace("{main}", main).replace("{http}", http)
        with open(self.conf, "w") as f:
            f.write(self.fill(text))

    def children(self):
        """{pid: name} of the processes below the master."""
        out = {}
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                stat = open("/proc/%s/stat" % pid).read()
                if int(stat.rpartition(")")[2].split()[1]) == self.process.pid:
                    cmd = open("/proc/%s/cmdline" % pid).read().replace("\0", " ")
                    out[int(pid)] = stat[stat.index("(") + 1 : stat.rindex(")")] + " " + cmd
            except OSError:
                pass
        return out

    def named(self, word):
        return [pid for pid, name in self.children().items() if word in name.split(" ", 1)[0] or word in name]

    def signal(self, sig):
        self.process.send_signal(sig)

    def file(self, name):
        path = os.path.join(self.dir, name)
        return open(path, errors="replace").read() if os.path.exists(path) else ""

    def wait_for(self, name, what, seconds=5):
        """Until a file of the folder holds what (a text, or a function of the text)."""
        fits = what if callable(what) else lambda text: what in text
        end = time.time() + seconds
        while time.time() < end:
            if fits(self.file(name)):
                return True
            time.sleep(0.02)
        return fits(self.file(name))


def both(http, root, **more):
    """The same on nginx and weir, in this order; only weir without nginx."""
    binaries = ([NGINX] if sites.HAVE_NGINX else []) + [None]
    return [Whole(http, root, binary=b, **more) for b in binaries]
