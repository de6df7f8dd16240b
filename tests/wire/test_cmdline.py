#!/usr/bin/env python3
"""The command line is nginx's: switches, messages, exit codes. nginx itself is asked where it is installed."""
import os, re, shutil, subprocess, tempfile

from wire import BUILD, done, equal, ok

WEIR = os.path.join(BUILD, "weir")
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
DIR = tempfile.mkdtemp(prefix="cmdline-")
CONF = os.path.join(DIR, "t.conf")
GOOD = "pid %s/pid; events { }\n" % DIR
HEAD = "pid %s/pid;\n" % DIR


def write(text, name="t.conf"):
    path = os.path.join(DIR, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


def run(program, *args):
    r = subprocess.run([program] + list(args), capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def weir(*args):
    return run(WEIR, *args)


# ---- bad configurations: the line that says why is nginx's, word by word. {} in a text is the directory.
BAD = {
    "unknown directive": "bogus on;\nevents { }",
    "unknown in http": "events { }\nhttp {\n  bogus on;\n}",
    "unknown in server": "events { }\nhttp {\n server {\n\n  lisen 80;\n }\n}",
    "no end of directive": "events { }\nhttp {\n  etag on\n}",
    "cut word": "events { }\nhttp",
    "cut block": "events { }\nhttp {\n  etag on;\n",
    "cut string": 'events { }\nhttp {\n  root "a;\n}\n',
    "too many braces": "events { }\nhttp { } }\n",
    "brace first": "}\n",
    "semicolon first": "events { }\n;\n",
    "block first": "events { }\n{ }\n",
    "quote leans": 'events { }\nhttp { root "a"b; }\n',
    "quote leans on quote": "events { }\nhttp { root 'a''b'; }\n",
    "not allowed here": "events { }\nlisten 80;\n",
    "http in http": "events { }\nhttp {\n http { }\n}\n",
    "location in http": "events { }\nhttp { location / { } }\n",
    "server in main": "events { }\nserver { }\n",
    "duplicate": "worker_processes 1;\nworker_processes 1;\nevents { }\n",
    "duplicate block": "events { }\nevents { }\n",
    "duplicate in location": "events { }\nhttp { server { location / { root a;\nroot b; } } }\n",
    "no block": "events { }\nhttp;\n",
    "needless block": "events { }\nworker_processes 1 { }\n",
    "missing semicolon before block": "events { }\nworker_processes 1\nhttp { }\n",
    "listen on a host that is none": "events { }\nhttp { server { listen no-such.invalid:8099; } }\n",
    "syslog to a host that is none": "events { }\nhttp { access_log syslog:server=no-such.invalid; }\n",
    "thread pool without threads": "thread_pool a max_queue=3;\nevents { }\n",
    "thread pool of no threads": "thread_pool a threads=0;\nevents { }\n",
    "thread pool with a bad queue": "thread_pool a threads=2 max_queue=x;\nevents { }\n",
    "thread pool twice": "thread_pool a threads=2;\nthread_pool a threads=2;\nevents { }\n",
    "thread pool that is not there": "events { }\nhttp {\n aio threads=none;\n server { listen 8099; } }\n",
    "no argument": "events { }\nhttp { server { listen; } }\n",
    "too many arguments": "events { }\nhttp { sendfile on off; }\n",
    "flag": "events { }\nhttp { sendfile maybe; }\n",
    "number": "worker_rlimit_nofile many;\n",
    "size": "events { }\nhttp { client_max_body_size 1x; }\n",
    "time": "events { }\nhttp { send_timeout 5q; }\n",
    "enum": "events { }\nhttp { satisfy some; }\n",
    "buffers": "events { }\nhttp { output_buffers 0 1k; }\n",
    "include nowhere": "events { }\nhttp {\n include nowhere.conf;\n}\n",
    "include two": "events { }\ninclude a b;\n",
    "include broken": "events { }\ninclude inner.conf;\n",
    "include half": "events { }\ninclude half.conf;\n",
    "port": "events { }\nhttp { server { listen 127.0.0.1:99999; } }\n",
    "listen parameter": "events { }\nhttp { server { listen 8080 bogus; } }\n",
    "duplicate location": "events { }\nhttp { server { location /a { }\n location /a { } } }\n",
    "location modifier": "events { }\nhttp { server { location ! /a { } } }\n",
    "location outside": "events { }\nhttp { server { location /a { location /b { } } } }\n",
    "no events": "http { }\n",
    "error_page": "events { }\nhttp { error_page 200 /x; }\n",
    "unknown variable": "events { }\nhttp { server { return 200 $bogus; } }\n",
    "return": "events { }\nhttp { server { return x y; } }\n",
    "alias twice": "events { }\nhttp { server { location /a/ { alias /b/;\n root /c; } } }\n",
    "no folder for the pid": "events { }\npid /nonexistent/dir/pid;\n",
    "address of somebody else": "events { }\nhttp { server { listen 198.51.100.7:8080; } }\n",
    "host with a slash": "events { }\nhttp { server { listen a/b; } }\n",
    "first of two": "bogus 1;\nevents {\n",
}


def emerg(text, program):
    for line in text.splitlines():
        if re.match(r"%s: \[(emerg|crit)\] " % program, line):
            return re.sub(r"^\w+: \[\w+\] ", "", line)
    return None


def test_messages():
    write("events { }\nbogus;\n", "inner.conf")
    write("http {\n", "half.conf")
    for name, text in BAD.items():
        write((HEAD.replace("\n", " ") if "\npid" not in text else "") + text)
        code, out, err = weir("-t", "-p", DIR, "-c", CONF)
        mine = emerg(err, "weir")
        ok(code == 1 and mine and err.rstrip().endswith("weir: configuration file %s test failed" % CONF), "%s: refused" % name, err)
        if NGINX:
            theirs = emerg(run(NGINX, "-t", "-e", DIR + "/e", "-p", DIR, "-c", CONF)[2], "nginx")
            if mine and theirs and " in /" not in theirs:  # weir knows the place, nginx does not
                mine = mine.split(" in /")[0]
            equal(mine, theirs, "%s: %s" % (name, theirs))


def test_hints():
    write(HEAD + "events { }\nhttp {\n  server {\n    lisen 80;\n  }\n}\n")
    _, _, err = weir("-t", "-c", CONF)
    equal(err.splitlines()[:2], ['weir: [emerg] unknown directive "lisen" in %s:5' % CONF, 'weir: column 5; did you mean "listen"?'], "the nearest word")
    write(HEAD + "events { }\nhttp { server { location / { fastcgi_pass a; } } }\n")
    ok("belongs to FastCGI, which comes with a later part of weir" in weir("-t", "-c", CONF)[2], "what is not there yet is named")


def test_switches():
    write(GOOD)
    told = "weir: the configuration file %s syntax is ok\nweir: configuration file %s test is successful\n" % (CONF, CONF)
    equal(weir("-t", "-c", CONF), (0, "", told), "-t")
    equal(weir("-tc", CONF), (0, "", told), "-tc FILE")
    equal(weir("-t", "-c" + CONF), (0, "", told), "-cFILE")
    equal(weir("-p", DIR, "-t", "-c", "t.conf"), (0, "", told), "-p and a relative -c")
    equal(weir("-tqc", CONF), (0, "", ""), "-q is quiet")
    write("# two\n", "two.conf")
    write(GOOD + "include two.conf;\ninclude tw*.conf;")
    code, out, _ = weir("-T", "-q", "-c", CONF)
    equal((code, out), (0, "# configuration file %s:\n%sinclude two.conf;\ninclude tw*.conf;\n# configuration file %s/two.conf:\n# two\n\n" % (CONF, GOOD, DIR)), "-T shows each file once")
    if NGINX:
        equal(out, run(NGINX, "-T", "-q", "-e", DIR + "/e", "-c", CONF)[1], "as nginx does")
    write(GOOD)
    for args, line in (
        (["-g", "daemon off"], 'weir: [emerg] unexpected end of parameter, expecting ";" in command line'),
        (["-g", "bogus off;"], 'weir: [emerg] unknown directive "bogus" in command line'),
        (["-g", "events { }"], "weir: [emerg] block directives are not supported in -g option in command line"),
        (["-g", "pid a;"], 'weir: [emerg] "pid" directive is duplicate in %s:1' % CONF),
    ):
        code, _, err = weir("-t", "-c", CONF, *args)
        equal((code, err.splitlines()[0]), (1, line), " ".join(args))
    equal(weir("-t", "-c", CONF, "-g", "daemon off;")[0], 0, "-g with a good directive")
    code, _, err = weir("-t", "-c", DIR + "/absent")
    equal((code, err.splitlines()[0]), (1, 'weir: [emerg] open() "%s/absent" failed (2: No such file or directory)' % DIR), "no file")
    for args, line in (
        (["-x"], 'weir: invalid option: "x"'), (["-tz"], 'weir: invalid option: "z"'), (["-c"], 'weir: option "-c" requires file name'),
        (["-s"], 'weir: option "-s" requires parameter'), (["-s", "bogus"], 'weir: invalid option: "-s bogus"'),
        (["-p"], 'weir: option "-p" requires directory name'), (["-t", "foo"], 'weir: invalid option: "foo"'),
    ):
        equal(weir(*args), (1, "", line + "\nweir: `weir -h` lists the switches, `weir help` the commands\n"), " ".join(args))


def test_signals():
    write(GOOD)
    pid = os.path.join(DIR, "pid")
    if os.path.exists(pid):
        os.remove(pid)
    code, _, err = weir("-s", "stop", "-c", CONF)
    equal((code, err.splitlines()[0]), (1, 'weir: [error] open() "%s" failed (2: No such file or directory)' % pid), "-s without a server")
    write("abc\n", "pid")
    equal(weir("-sreload", "-c", CONF), (1, "", 'weir: [error] invalid PID number "abc" in "%s"\n' % pid), "-s and no number")
    write("4194304\n", "pid")  # above pid_max
    equal(weir("-s", "quit", "-c", CONF), (1, "", "weir: [alert] kill(4194304, 3) failed (3: No such process)\nweir: no server runs; its pid file was left behind\n"), "-s and no process")
    child = subprocess.Popen(["sleep", "60"])
    write("%d\n" % child.pid, "pid")
    equal(weir("-s", "stop", "-c", CONF), (0, "", ""), "-s stop says nothing")
    equal(child.wait(5), -15, "and sends TERM")
    os.remove(pid)


def test_version():
    code, out, err = weir("-v")
    ok(code == 0 and not out and re.fullmatch(r"nginx version: nginx/1\.31\.0 \(weir \d+\.\d+\.\d+\)\n", err), "-v", err)
    code, out, err = weir("-V")
    lines = err.splitlines()
    ok(code == 0 and lines[0].startswith("nginx version: nginx/1.31.0 (weir ") and lines[1].startswith("built with OpenSSL "), "-V", err)
    arguments = lines[-1]
    ok(arguments.startswith("configure arguments: ") and "--without-http_fastcgi_module" in arguments and "--without-http_access_module" not in arguments, "configure arguments", arguments)
    code, _, err = weir("-h")
    ok(code == 0 and "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]" in err and "-g directives" in err, "-h", err)
    equal(weir("-?")[0], 0, "-?")
    code, out, _ = weir("help")
    ok(code == 0 and "check" in out and "explain" in out, "weir help", out)
    equal(weir("nonsense")[0], 64, "an unknown command")


def test_commands():
    """Wrong words to a command: one line that says what and what to do, and a status that is not 0."""
    here = os.getcwd()
    os.chdir(DIR)
    for args, code, line in (
        (["help", "nonsense"], 64, 'weir: unknown command "nonsense"; `weir help` lists them'),
        (["version", "x"], 64, "usage: weir version"),
        (["errors", "-99999"], 1, 'weir errors: "-99999" is no error name or code; `weir errors` lists them'),
        (["directives", "lisen"], 1, 'weir: no directive "lisen"; did you mean "listen"?'),
        (["directives", "qqqqqqqqq"], 1, 'weir: no directive "qqqqqqqqq"; `weir directives` lists all'),
        (["postmortem", DIR + "/absent"], 1, 'weir postmortem: "%s/absent": No such file or directory; name the directory of the pid file, or of postmortem_path' % DIR),
        (["postmortem", CONF], 1, 'weir postmortem: "%s": Not a directory; name the directory of the pid file, or of postmortem_path' % CONF),
        (["postmortem", DIR], 1, "weir postmortem: no worker has left one in %s; they lie beside the pid file, or where postmortem_path says" % DIR),
        (["postmortem", DIR, DIR], 64, "usage: weir postmortem [--pid N] [DIRECTORY]"),
        (["check", "absent"], 1, 'weir: [emerg] open() "%s/absent" failed (2: No such file or directory)\nweir: a relative FILE is looked for here, a relative -c below the prefix (-p)' % os.getcwd()),
        (["explain", CONF, "GET", "x"], 64, "usage: weir explain FILE METHOD URL [-H 'Name: value'] ...\n       URL: /path, http://host[:port]/path or https://..."),
    ):
        equal(weir(*args), (code, "", line + "\n"), " ".join(args))
    os.chdir(here)
    for name in re.findall(r"^  ([a-z]+) ", weir("help")[1], re.M):
        code, out, err = weir(name, "--help")
        ok(code == 0 and out.startswith("usage: weir " + name) and err == "", "weir %s --help" % name, (code, out, err))
        equal(weir("help", name), (0, out, ""), "weir help %s is the same" % name)
    write(GOOD)
    told = 'weir: [emerg] open() "%s" failed (21: Is a directory)\nweir: -e names the error log\n' % DIR
    equal(weir("-c", CONF, "-e", DIR), (1, "", told), "-e and a directory")
    with open(CONF, "wb") as f:
        f.write(b"a\x1b]0;x\x07\xff\xc3\xa9;\n")
    err = weir("-t", "-c", CONF)[2]
    ok('unknown directive "a\\x1b]0" in ' in err and "\x1b" not in err, "what a file holds does not steer the terminal", err)


def test_man():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man/weir.conf.5")) as f:
        page = f.read()
    _, out, _ = weir("directives", "--man")
    ok(out == page, "docs/man/weir.conf.5 is what `weir directives --man` prints", "run: weir directives --man > docs/man/weir.conf.5")


if __name__ == "__main__":
    try:
        test_messages()
        test_hints()
        test_switches()
        test_signals()
        test_version()
        test_commands()
        test_man()
    finally:
        shutil.rmtree(DIR)
    done()
