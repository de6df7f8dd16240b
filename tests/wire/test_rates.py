#!/usr/bin/env python3
"""limit_req and limit_conn over two workers: the documented arithmetic, dry runs, reloads, killed workers."""
import os, re, signal, threading, time

import sites
from sites import HAVE_NGINX, NGINX, folder
from whole import Whole
from wire import done, equal, ok

ROOT = folder()
with open(os.path.join(ROOT, "index.html"), "w") as f:
    f.write("in\n")
with open(os.path.join(ROOT, "big.txt"), "wb") as f:
    f.truncate(64 << 20)

CONF = """
  limit_req_zone $arg_k zone=slow:64k rate=30r/m;  limit_req_zone $arg_k zone=fast:64k rate=20r/s;  limit_req_zone $arg_k zone=one:64k rate=1r/s;
  limit_req_zone $binary_remote_addr zone=addr:64k rate=1000r/s;  limit_req_zone $arg_t zone=tiny:32k rate=1r/m;
  keepalive_requests 1000000; limit_conn_zone $arg_k zone=c:64k; limit_conn_zone $binary_remote_addr zone=ca:64k;
  log_format s '$request_uri $status req=$limit_req_status conn=$limit_conn_status'; access_log {dir}/access.log s;
  server { listen 127.0.0.1:{port}; root {root};
    location /plain { limit_req zone=one; try_files /index.html =404; }
    location /burst { limit_req zone=one burst=3 nodelay; try_files /index.html =404; }
    location /wait { limit_req zone=fast burst=5; try_files /index.html =404; }
    location /some { limit_req zone=fast burst=6 delay=3; try_files /index.html =404; }
    location /dry { limit_req_dry_run on; limit_req zone=one; try_files /index.html =404; }
    location /429 { limit_req_status 429; limit_req_log_level warn; limit_req zone=one; try_files /index.html =404; }
    location /two { limit_req zone=one; limit_req zone=addr burst=100 nodelay; try_files /index.html =404; }
    location /first { limit_req zone=slow burst=100 nodelay; limit_req zone=one; try_files /index.html =404; }
    location /slow { limit_req zone=slow burst=100 nodelay; try_files /index.html =404; }
    location /tiny { limit_req zone=tiny; try_files /index.html =404; }
    location /conn { limit_conn c 2; limit_rate 64k; try_files /big.txt =404; }
    location /cdry { limit_conn c 2; limit_conn_dry_run on; limit_rate 64k; try_files /big.txt =404; }
    location /c429 { limit_conn_status 429; limit_conn c 1; limit_rate 64k; try_files /big.txt =404; }
  } """
run = str(os.getpid())


def burst(s, uri, n, at_once=False):
    """Statuses of n requests, one after another or all at once."""
    out = []
    if not at_once:
        return [s.ask(uri)[0] for _ in range(n)]
    threads = [threading.Thread(target=lambda: out.append(s.ask(uri, seconds=10)[0])) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sorted(out)


def statuses(s):
    return {
        "plain": burst(s, "/plain?k=a", 4), "other key": burst(s, "/plain?k=b", 2), "no key": burst(s, "/plain", 5), "burst": burst(s, "/burst?k=c", 7),
        "dry": burst(s, "/dry?k=d", 3), "429": burst(s, "/429?k=e", 3), "two": burst(s, "/two?k=f", 3), "head": burst(s, "/plain?k=g", 2),
        "at once": burst(s, "/burst?k=h", 12, True),
    }


servers = [Whole(CONF, ROOT, binary=b) for b in ([NGINX] if HAVE_NGINX else []) + [None]]
mine = servers[-1]
got = [statuses(s) for s in servers]
equal(got[-1], {"plain": [200, 503, 503, 503], "other key": [200, 503], "no key": [200] * 5, "burst": [200] * 4 + [503] * 3, "dry": [200] * 3, "429": [200, 429, 429],
                "two": [200, 503, 503], "head": [200, 503], "at once": [200] * 4 + [503] * 8}, "statuses by the rule")
ok(len(got) == 1 or got[0] == got[1], "the same as nginx", got)

# Delays: 20 r/s and a burst of 5: six at once take 0, 50, ... 250 ms.
t = time.time()
equal(burst(mine, "/wait?k=i", 6, True), [200] * 6, "six with a burst of five")
ok(0.24 < time.time() - t < 0.9, "the last waited 250 ms", time.time() - t)
t = time.time()
equal(burst(mine, "/some?k=j", 4, True), [200] * 4, "delay=3: four")
ok(time.time() - t < 0.2, "at once", time.time() - t)
equal(burst(mine, "/some?k=l", 9, True), [200] * 7 + [503] * 2, "nine: two too many")
with mine.connect() as s:
    for i in range(4):
        s.sendall(b"GET /wait?k=m HTTP/1.1\r\nHost: x\r\n\r\n")
time.sleep(0.2)
equal(mine.ask("/index.html")[0], 200, "clients that went away while they waited")

# A refusal by the last limit costs nothing in the first.
burst(mine, "/first?k=n", 30)
equal(burst(mine, "/slow?k=n", 99), [200] * 99, "refused requests did not fill the other bucket")

# A zone that is full forgets the oldest key and goes on.
n = len(re.findall("200", " ".join(str(mine.ask("/tiny?t=%d" % i)[0]) for i in range(1500))))
equal(n, 1500, "1500 keys in 32 KiB: each first request passes")
equal(mine.ask("/tiny?t=1499")[0], 503, "the newest key is remembered")
equal(mine.ask("/tiny?t=0")[0], 200, "the oldest is not")


def hold(s, uri, n):
    """n requests whose answers are not finished: (open sockets, statuses)."""
    socks, got = [], []
    for _ in range(n):
        c = s.connect()
        c.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % uri.encode())
        got.append(int(c.recv(64).split()[1]))
        socks.append(c)
    return socks, got


def free(socks):
    for c in socks:
        c.close()


for s in servers:
    name = "nginx" if s.binary == NGINX else "weir"
    socks, got = hold(s, "/conn?k=a", 5)
    equal(got, [200, 200, 503, 503, 503], "%s: limit_conn 2" % name)
    other, got = hold(s, "/conn?k=b", 1)
    equal(got, [200], "%s: another key" % name)
    free(socks + other)
    time.sleep(0.5)
    socks, got = hold(s, "/conn?k=a", 3)
    equal(got, [200, 200, 503], "%s: they came back" % name)
    free(socks)
    time.sleep(0.3)
    socks, got = hold(s, "/cdry?k=c", 4)
    equal(got, [200] * 4, "%s: dry run" % name)
    free(socks)
    socks, got = hold(s, "/c429?k=d", 2)
    equal(got, [200, 429], "%s: limit_conn_status" % name)
    free(socks)

if "access.log" in os.listdir(mine.dir):
    mine.wait_for("access.log", lambda t: t.count("\n") > 1700)
    for uri, rest in (("/plain", "200 req=PASSED conn=-"), ("/plain", "503 req=REJECTED conn=-"), ("/dry", "200 req=REJECTED_DRY_RUN conn=-"),
                      ("/wait", "200 req=DELAYED conn=-"), ("/conn", "503 req=- conn=REJECTED"), ("/cdry", "200 req=- conn=REJECTED_DRY_RUN"),
                      ("/cdry", "200 req=- conn=PASSED"), ("/c429", "429 req=- conn=REJECTED")):
        ok(mine.wait_for("access.log", lambda t: re.search(r"(?m)^%s\S* %s$" % (uri, rest), t)), "the log says: %s %s" % (uri, rest))
    log = mine.log()
    for words in ('limiting requests, excess: 1.', ', dry run, excess: ', 'by zone "one", client: 127.0.0.1', 'limiting connections by zone "c", client', 'delaying request, excess: 1.',
                  'limiting connections, dry run, by zone "c"'):
        ok(words in log, "the error log: %s" % words, log[-2000:])
    lines = [x for x in log.splitlines() if "limiting" in x and "/429" in x]
    ok(lines and all("[warn]" in x for x in lines), "limit_req_log_level", lines[:2])

workers = mine.named("worker")
if len(workers) >= 2:
    # What a killed worker held comes back.
    socks, got = hold(mine, "/conn?k=kill", 3)
    equal(got, [200, 200, 503], "two are held")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    end = time.time() + 10
    while time.time() < end and (len(mine.named("worker")) < 2 or set(mine.named("worker")) & set(workers)):
        time.sleep(0.05)
    time.sleep(1.2)
    more, got = hold(mine, "/conn?k=kill", 3)
    equal(got, [200, 200, 503], "after kill -9 of their workers there is room for two again")
    free(socks + more)
    # A bucket survives a reload.
    burst(mine, "/slow?k=keep", 101)
    old = set(mine.named("worker"))
    mine.signal(signal.SIGHUP)
    end = time.time() + 10
    while time.time() < end and set(mine.named("worker")) & old:
        time.sleep(0.05)
    ok(503 in burst(mine, "/slow?k=keep", 3), "what was counted before a reload counts behind it")
    # A zone whose key is another one now: the new configuration is refused.
    mine.write(CONF.replace("limit_req_zone $arg_k zone=one", "limit_req_zone $arg_other zone=one"))
    mine.signal(signal.SIGHUP)
    ok(mine.wait_for("error.log", 'limit_req "one" uses the "$arg_other" key while previously it used'), "another key for a living zone is refused", mine.log()[-500:])
    equal(mine.ask("/plain?k=z")[0], 200, "and the old configuration goes on")
equal(mine.stop(), 0, "ends well")
done()
