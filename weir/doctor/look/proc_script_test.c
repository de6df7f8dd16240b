/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "tests/tap.h"

/* Words are divided by blanks here, by zeroes in /proc. */
static const char *script(const char *line)
{
    static char words[256], out[256];
    size_t n = strlen(line) + 1;
    memcpy(words, line, n);
    for (size_t i = 0; i < n; i++)
        if (words[i] == ' ')
            words[i] = 0;
    struct wr_span s = proc_script(wr_span(words, n));
    (void)snprintf(out, sizeof out, "%.*s", WR_SPANF(s));
    return out;
}

int main(void)
{
    is_str(script("python3 -u /srv/app/worker.py --secret x"), "worker.py", "a script");
    is_str(script("python3 -m http.server 8000"), "http.server", "a module");
    is_str(script("python3 -c print(1) x"), "", "code has no name");
    is_str(script("java -Xmx1g -cp /lib/a.jar:/b com.example.Main"), "com.example.Main",
           "a class");
    is_str(script("java -jar /opt/shop.jar"), "shop.jar", "an archive");
    is_str(script("node -r dotenv server.js"), "server.js", "node");
    is_str(script("python3"), "", "nothing");
    is_str(proc_script(WR_LIT("")).n ? "x" : "", "", "no command line");
    ok(proc_is_interpreter(WR_LIT("/usr/bin/python3.11")), "python");
    ok(!proc_is_interpreter(WR_LIT("/usr/sbin/nginx")), "nginx runs itself");
    return tap_done();
}
