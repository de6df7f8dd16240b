#!/usr/bin/env python3
"""weir check: each rule finds what it is for, at its line, and is silent beside it."""
import os, re, shutil, subprocess, tempfile

from wire import BUILD, done, equal, ok

WEIR = os.path.join(BUILD, "weir")
DIR = tempfile.mkdtemp(prefix="check-")
CONF = os.path.join(DIR, "t.conf")
KEY = os.path.join(DIR, "key.pem")

# rule: (configuration with the finding at the line marked <, one without); the mark is taken out before the file is written.
HTTP = "events { }\nhttp {\nserver_tokens off;\n%s\n}\n"
SERVER = HTTP % "server {\nlisten 8080;\nroot /srv;\n%s\n}"
CASES = {
    "lost-header": (SERVER % "add_header A 1;\nlocation / {\nadd_header B 2;<\n}", SERVER % "add_header A 1;\nlocation / {\nadd_header A 1;\nadd_header B 2;\n}"),
    "lost-error-page": (SERVER % "error_page 404 /a;\nlocation / {\nerror_page 500 /b;<\n}", SERVER % "error_page 404 /a;\nlocation / {\nroot /x;\n}"),
    "if-in-location": (SERVER % "location / {\nif ($args) {\nroot /x;<\n}\n}", SERVER % "if ($args) {\nset $a 1;\n}\nlocation / {\nif ($args) {\nreturn 403;\n}\n}"),
    "same-name": (HTTP % "server {\nlisten 8080 default_server;\nserver_name a;\n}\nserver {\nlisten *:8080;\nserver_name b A;<\n}",
                  HTTP % "server {\nlisten 8080 default_server;\nserver_name a;\n}\nserver {\nlisten 8081;\nserver_name a;\n}"),
    "no-default-server": (HTTP % "server {\nlisten 8080;<\nserver_name a;\n}\nserver {\nlisten 8080;\nserver_name b;\n}",
                          HTTP % "server {\nlisten 8080;\nserver_name a;\n}\nserver {\nlisten 8080 default_server;\nserver_name b;\n}"),
    "listen-ssl": (HTTP % "server {\nlisten 443;<\n}", HTTP % "server {\nlisten 8443;\n}"),
    "backlog": (HTTP % "server {\nlisten 8080 backlog=2000000;<\n}", HTTP % "server {\nlisten 8080 backlog=10;\n}"),
    "unreached-location": (SERVER % "location ~ ^/ {\n}\nlocation ~ \\.gif$ {<\n}", SERVER % "location ~ \\.gif$ {\n}\nlocation ~ ^/ {\n}"),
    "unreached-location 2": (SERVER % "location ^~ / {\n}\nlocation ~ \\.gif$ {<\n}", SERVER % "location / {\n}\nlocation ~ \\.gif$ {\n}"),
    "bare-dot": (SERVER % "location ~ .php$ {<\n}", SERVER % "location ~ \\.php$ {\n}"),
    "endless-timer": (SERVER % "send_timeout 0;<", SERVER % "send_timeout 30s;\nkeepalive_timeout 0;"),
    "endless-timer 2": (SERVER % "keepalive_timeout 30d;<", SERVER % "keepalive_timeout 75s;"),
    "alias-slash": (SERVER % "location /a {\nalias /b/;<\n}", SERVER % "location /a/ {\nalias /b/;\n}\nlocation = /c {\nalias /d/e;\n}"),
    "alias-slash 2": (SERVER % "location /a/ {\nalias /b;<\n}", SERVER % "location /a {\nalias /b;\n}"),
    "root-in-location": (HTTP % "server {\nlisten 8080;\nlocation / {\nroot /srv;<\n}\n}", SERVER % "location /a {\nroot /x;\n}"),
    "try-files-end": (SERVER % "location / {\ntry_files $uri $uri/;<\n}", SERVER % "location / {\ntry_files $uri $uri/ =404;\n}"),
    "try-files-end 2": (SERVER % "location / {\ntry_files $uri @app;<\n}", SERVER % "location / {\ntry_files $uri @app;\n}\nlocation @app {\nreturn 204;\n}"),
    "decoded-redirect": (SERVER % "return 301 https://a$uri;<", SERVER % "return 301 https://a$request_uri;"),
    "allow-alone": (SERVER % "allow 10.0.0.0/8;<", SERVER % "allow 10.0.0.0/8;\ndeny all;"),
    "readable-key": (HTTP % ("server {\nlisten 8443 ssl;\nssl_certificate %s;\nssl_certificate_key %s;<\n}" % (KEY, KEY)), SERVER % ""),
    "log-named-off": (SERVER % "error_log off;<", SERVER % "error_log stderr;"),
    "swallowed": (SERVER % "index a.html\nautoindex on;<", SERVER % "index a.html\nb.html;"),
    "few-descriptors": ("worker_rlimit_nofile 100;\nevents {\nworker_connections 200;<\n}\nhttp {\nserver_tokens off;\n}\n", HTTP % ""),
    "no-effect": (HTTP % "server_names_hash_max_size 512;<", SERVER % ""),
    "server-tokens": ("events { }\nhttp {<\n}\n", HTTP % ""),
}


def check(text):
    lines = text.split("\n")
    at = next((i + 1 for i, line in enumerate(lines) if line.endswith("<")), None)
    with open(CONF, "w") as f:
        f.write(text.replace("<\n", "\n"))
    r = subprocess.run([WEIR, "check", CONF], capture_output=True, text=True, timeout=20)
    found = re.findall(r"^%s:(\d+):\d+: (\w+): .* \[([\w-]+)\]\n    fix: .+$" % re.escape(CONF), r.stdout, re.M)
    return r, at, [(int(line), level, rule) for line, level, rule in found]


def main():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", KEY, "-out", KEY + ".c",
                    "-subj", "/CN=a"], capture_output=True, check=True)
    with open(KEY, "a") as f:
        f.write(open(KEY + ".c").read())
    os.chmod(KEY, 0o644)
    for name, (bad, good) in CASES.items():
        rule = name.split()[0]
        r, at, found = check(bad)
        hits = [f for f in found if f[2] == rule]
        ok(len(hits) == 1 and hits[0][0] == at, "%s: found in line %s" % (name, at), r.stdout + r.stderr)
        if hits:
            equal(r.returncode, 1 if any(level == "warning" for _, level, _ in found) else 0, "%s: exit status" % name)
        r, _, found = check(good)
        ok(r.returncode in (0, 1) and "emerg" not in r.stderr and rule not in [f[2] for f in found], "%s: not where it is right" % name, r.stdout + r.stderr)
    r, _, found = check(HTTP % "server {\nlisten 8080;\nroot /srv;\n}")
    equal((r.returncode, found), (0, []), "a plain file is clean")
    r, _, _ = check("events { }\nbogus;\n")
    ok(r.returncode == 1 and 'unknown directive "bogus"' in r.stderr, "a wrong file is refused", r.stderr)
    r = subprocess.run([WEIR, "check", "--rules"], capture_output=True, text=True, timeout=20)
    listed = [line.split()[0] for line in r.stdout.splitlines()]
    equal(sorted(set(listed)), sorted({n.split()[0] for n in CASES}), "every rule has a case")
    equal(subprocess.run([WEIR, "check"], capture_output=True, timeout=20).returncode, 64, "no file")


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(DIR)
    done()
