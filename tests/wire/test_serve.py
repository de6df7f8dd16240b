#!/usr/bin/env python3
"""weir serve: a folder on a port; what it prints is a configuration that weir accepts and serves the same."""
import os, shutil, signal, socket, subprocess, tempfile, time, urllib.error, urllib.request

from wire import BUILD, done, equal, free_port, ok

WEIR = os.path.join(BUILD, "weir")
DIR = tempfile.mkdtemp(prefix="serve-")
ROOT = os.path.join(DIR, 'a "b" \\c')


def run(*args):
    r = subprocess.run([WEIR] + list(args), capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def get(port, path):
    for _ in range(100):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=5) as r:
                return r.status, r.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()
        except OSError:
            time.sleep(0.05)
    return None, b""


def served(args, port, checks):
    log = open(os.path.join(DIR, "log"), "a+")  # server and logger each have it open
    start = log.tell()
    p = subprocess.Popen([WEIR] + args, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        for path, status, text in checks:
            got = get(port, path)
            ok(got[0] == status and text in got[1], "%s: %s %d" % (args[0], path, status), got)
    finally:
        p.send_signal(signal.SIGTERM)
        equal(p.wait(15), 0, "%s ends when told" % args[0])
    log.seek(start)
    return log.read()


def served_to_a_socket(args, port):
    """stdout as systemd gives it to a service: /dev/stdout cannot be opened there."""
    ours, theirs = socket.socketpair()
    p = subprocess.Popen([WEIR] + args, stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    theirs.close()
    try:
        get(port, "/sub/x.txt")
        ours.settimeout(15)
        line = ours.recv(4096)
        ok(b'"GET /sub/x.txt HTTP/1.1" 200' in line, "a request's line comes through a socket", line)
    finally:
        p.send_signal(signal.SIGTERM)
        equal(p.wait(15), 0, "and it ends when told")


def main():
    os.chmod(DIR, 0o755)  # started by root, workers are nobody
    os.mkdir(ROOT)
    os.mkdir(os.path.join(ROOT, "sub"))
    with open(os.path.join(ROOT, "index.html"), "w") as f:
        f.write("front")
    with open(os.path.join(ROOT, "sub", "x.txt"), "w") as f:
        f.write("text")
    port = free_port()
    address = "127.0.0.1:%d" % port
    text = served(["serve", ROOT, "--listen", address], port, [("/", 200, b"front"), ("/sub/x.txt", 200, b"text"), ("/sub/", 403, b"403"), ("/no", 404, b"404")])
    ok("at http://%s/" % address in text and '"GET /sub/x.txt HTTP/1.1" 200' in text, "it says where, and shows requests", text)
    ok("[warn]" not in text and "[emerg]" not in text, "and complains of nothing", text)
    served_to_a_socket(["serve", ROOT, "--listen", address], port)
    served(["serve", "--autoindex", "--listen=" + address, ROOT], port, [("/sub/", 200, b"x.txt")])
    code, conf, _ = run("serve", ROOT, "--listen", address, "--print-config")
    with open(os.path.join(DIR, "t.conf"), "w") as f:
        f.write(conf)
    equal(code, 0, "--print-config")
    served(["-c", os.path.join(DIR, "t.conf")], port, [("/", 200, b"front")])
    equal(sorted(os.listdir(ROOT)), ["index.html", "sub"], "nothing is left in the folder")
    code, _, err = run("serve", os.path.join(DIR, "none"))
    ok(code == 1 and "No such file" in err, "no folder", err)
    code, _, err = run("serve", WEIR)
    ok(code == 1 and "Not a directory" in err, "a file", err)
    equal(run("serve", "--bogus")[0], 64, "a wrong word")
    code, _, err = run("serve", ROOT, "--listen", "bogus:port")
    ok(code == 1 and "emerg" in err, "a wrong address", err)


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(DIR)
    done()
