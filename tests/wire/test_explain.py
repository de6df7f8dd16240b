#!/usr/bin/env python3
"""weir explain says what the server does: the locations that it names are those that answer."""
import os, re, shutil, socket, subprocess, tempfile

from wire import BUILD, Server, done, equal, free_port, ok

WEIR = os.path.join(BUILD, "weir")
DIR = tempfile.mkdtemp(prefix="explain-")
CONF = os.path.join(DIR, "t.conf")
TEXT = r"""events { }
http {
  add_header A 1;
  server {
    listen 8081;
    server_name a.example *.wild.example ~^re\d+\.example$;
    root /srv/$host;
    add_header B "two words";
    error_page 403 404 =200 /sorry;
    send_timeout 7s;
    location / { }
    location = /exact { return 204; }
    location /dir/ {
      add_header C 3;
      rewrite ^/dir/(.*)\.old$ /new/$1 last;
      rewrite ^/dir/out/(.*)$ https://other.example/$1 permanent;
      location ~ \.inner$ { keepalive_timeout 3s; }
    }
    location ^~ /static { alias /data/static; }
    location ~ \.php$ { limit_except GET { deny all; } return 403; }
    location /new { set $kind new; return 200 "$kind $arg_q"; }
    location /loop { rewrite ^ /loop last; }
    location /priv { internal; }
    if ($http_x_mode = gone) { return 410; }
  }
  server { listen 8081; server_name b.example; location /x/ { allow 10.0.0.0/8; deny all; } }
  server { listen 8082; rewrite ^/a$ /b; location /b { } }
}
"""


def line_of(word):
    return next(i + 1 for i, line in enumerate(TEXT.split("\n")) if word in line)


def explain(method, url, *fields):
    args = [WEIR, "explain", CONF, method, url]
    for f in fields:
        args += ["-H", f]
    r = subprocess.run(args, capture_output=True, text=True, timeout=20)
    return r.returncode, r.stdout, r.stderr


# url, fields, what must be in the output, in this order; {word} stands for the line of that word.
CASES = (
    ("http://a.example:8081/plain", [], ["server    server  (F:{server {}): its server_name is the host", "location  location /  (F:{location / })", "the longest prefix, and no pattern matches", "file      /srv/a.example/plain"]),
    ("http://a.example:8081/exact", [], ["location  location = /exact", "it is the URI", "answer    204"]),
    ("http://x.wild.example:8081/", [], ["a wildcard of its server_name"]),
    ("http://re12.example:8081/", [], ["a pattern of its server_name"]),
    ("http://none.example:8081/", [], ["no server_name matches: the default of the address"]),
    ("http://b.example:8081/x/y", [], ["(F:{b.example})", "allow                      10.0.0.0/8  (F:{10.0.0.0})", "deny                       all"]),
    ("http://a.example:8081/dir/f.old?q=7", [], ["location  location /dir/", 'matches "/dir/f.old"', "uri       /new/f", "location  location /new", 'answer    200', '$arg_q                     "7"']),
    ("http://a.example:8081/dir/out/z", [], ["answer    301 Location: https://other.example/z"]),
    ("http://a.example:8081/dir/f.inner", [], ["location  location ~ \\.inner$", "+ C: 3  (F:{add_header C})", "- B: two words  (F:{add_header B}; lost", "- A: 1", "send_timeout               7s  (F:{send_timeout})", "keepalive_timeout          3s  (F:{keepalive_timeout 3s})"]),
    ("http://a.example:8081/static/x.php", [], ["+       location ~ \\.php$", "location  location ^~ /static", "^~ ends the search", "file      /data/static/x.php"]),
    ("http://a.example:8081/x.php", [], ["location  location ~ \\.php$", "answer    403", "error_page leads 403 to /sorry  (F:{error_page})"]),
    ("http://a.example:8081/loop", [], ["in a circle"]),
    ("http://a.example:8081/priv", [], ["answer    404"]),
    ("http://a.example:8081/", ["X-Mode: gone"], ["answer    410"]),
    ("http://a.example:8082/a", [], ["address   0.0.0.0:8082", "uri       /b", "location  location /b"]),
    ("/plain", [], ["address   0.0.0.0:8081", "location  location / "]),
    ("http://a.example:8081/%2e%2e/x", [], ["refused"]),
)


def main():
    with open(CONF, "w") as f:
        f.write(TEXT.replace("events { }", "events { } error_log %s/e.log;" % DIR))
    for url, fields, wanted in CASES:
        code, out, err = explain("GET", url, *fields)
        at, missing = 0, None
        for text in wanted:
            text = re.sub(r"F:\{(.*?)\}(?=\)|;)", lambda m: "%s:%d" % (CONF, line_of(m.group(1))), text)
            found = out.find(text, at)
            if found < 0:
                missing = text
                break
            at = found + len(text)
        ok(missing is None and code == (1 if "refused" in wanted else 0), "%s %s" % (url, fields), "missing: %s\n%s%s" % (missing, out, err))
    code, out, _ = explain("POST", "http://a.example:8081/x.php")
    ok("limit_except applies to POST" in out, "limit_except", out)
    code, out, err = explain("GET", "ftp://x/")
    equal(code, 64, "a URL that is none")
    equal(explain("GET", "/", "Bad Field: x")[0], 1, "a field that is none is refused")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man/weir.conf.5")) as f:
        names = re.findall(r"^ ?,?\.Va \$(\w+)", f.read(), re.M)
    every = os.path.join(DIR, "every.conf")
    for name in names:
        with open(every, "w") as f:
            f.write('events { }\nhttp { server { listen 8080; location / { return 200 "$%s"; } } }\n' % name.replace("NAME", "host"))
        r = subprocess.run([WEIR, "explain", every, "GET", "http://a:8080/x?q=1"], capture_output=True, text=True, timeout=20)
        if r.returncode != 0 or "answer    200" not in r.stdout:
            ok(False, "$%s can be asked for" % name, r.stdout + r.stderr)
    ok(len(names) > 70, "%d variables can be asked for" % len(names))
    os.unlink(every)
    before = set(os.listdir(DIR))
    explain("GET", "http://a.example:8081/plain")
    equal(set(os.listdir(DIR)), before, "nothing is written")


# ---- many URIs: what explain says and what the server answers are one

LOCATIONS = ["/", "= /", "/a", "/a/", "= /a/b", "^~ /a/b/", "/a/b/c", "~ \\.gif$", "~* \\.GIF$", "~ ^/a/[0-9]+$", "/img/", "^~ /img/raw", "~ /x", "/A", "= /img/raw/x.gif"]
INNER = {"/a/": ["/a/in/", "~ in$", "= /a/in"], "/img/": ["/img/b", "~ \\.gif$"]}
URIS = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/x.gif", "/a/1", "/a/12", "/a/1x", "/x.gif", "/x.GIF", "/img", "/img/", "/img/b", "/img/b.gif", "/img/raw", "/img/raw.gif",
        "/img/raw/x.gif", "/A", "/AB", "/a/in", "/a/in/", "/a/in/y", "/a/in/in", "/a/zin", "/a/zin.gif", "/b//a/b", "/a/./b", "/a/c/../b", "/%61/b", "/none", "/q/x", "/a/b/c/x", "/a%2Fb"]


def spoken(name):  # without what `return` would take for a variable
    return re.sub(r"[^\w/ ]", "-", name)


def block(names):
    return "".join("location %s { %s return 200 '%s'; }\n" % (n, block(INNER.get(n, [])) if n in INNER else "", spoken(n)) for n in names)


def test_against_server():
    port = free_port()
    path = os.path.join(DIR, "many.conf")
    with open(path, "w") as f:
        f.write("daemon off; master_process off; pid %s/pid; admin off; error_log stderr; events { }\nhttp { access_log off; client_body_temp_path %s; server { listen 127.0.0.1:%d;\n%s} }\n" % (DIR, DIR, port, block(LOCATIONS)))
    server = Server("weir", "-c", path, port=port)
    for uri in URIS:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % uri).encode())
            data = b""
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        head, _, body = data.decode().partition("\r\n\r\n")
        answer = body if " 200 " in head.split("\r\n")[0] else head.split(" ")[1]
        r = subprocess.run([WEIR, "explain", path, "GET", uri], capture_output=True, text=True, timeout=20)
        chosen = re.findall(r"^location  location (.*?)  \(", r.stdout, re.M)
        status = re.findall(r"^answer    (\d+)", r.stdout, re.M)
        said = spoken(chosen[-1]) if chosen and status == ["200"] else status[-1] if status else None
        equal(said, answer, "%s goes to %s" % (uri, answer))
    server.stop()


if __name__ == "__main__":
    try:
        main()
        test_against_server()
    finally:
        shutil.rmtree(DIR)
    done()
