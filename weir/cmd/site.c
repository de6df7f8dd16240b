/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/site.h"

#include "libweir/os/os.h"
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/doctor/report/plain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A file named by mistake need be no text: what it holds must not steer the terminal. */
static void put_visible(struct wr_span text)
{
    size_t shown = 0, at = 0;
    while (at < text.n) {
        size_t from = at;
        if (plain_printable(plain_next(text, &at)))
            continue;
        out_span(2, wr_span(text.p + shown, from - shown));
        for (; from < at; from++)
            out_print(2, "\\x%02x", (unsigned char)text.p[from]);
        shown = at;
    }
    out_span(2, wr_span(text.p + shown, text.n - shown));
}

static void say(void *ctx, int severity, const char *text, const char *hint)
{
    (void)ctx;
    out_print(2, "weir: [%s] ", severity == WEB_SAY_WARN ? "warn" : "emerg");
    put_visible(wr_span_str(text));
    out_print(2, "\n");
    if (hint)
        out_print(2, "weir: %s\n", hint);
}

int cmd_site_init(struct cmd_site *site, const struct opt *o)
{
    const char *prefix = o->prefix ? o->prefix : CMD_PREFIX;
    const char *file = o->file ? o->file : CMD_CONF;
    size_t n = strlen(prefix);
    int a = snprintf(site->prefix, sizeof(site->prefix), "%s%s", prefix,
                     n && prefix[n - 1] == '/' ? "" : "/");
    int b = snprintf(site->path, sizeof(site->path), "%s%s", file[0] == '/' ? "" : site->prefix,
                     file);
    if (a < 0 || b < 0 || (size_t)a >= sizeof(site->prefix) || (size_t)b >= sizeof(site->path))
        return -ENAMETOOLONG;
    site->source = (struct web_source){
        .prefix = site->prefix,
        .path = site->path,
        .directives = o->directives,
        .say = say,
    };
    return 0;
}

/* For commands that only look. */
int cmd_site_of_file(struct cmd_site *site, struct opt *o, const char *file)
{
    char full[CMD_PATH];
    ssize_t n = wr_os_readlink("/proc/self/cwd", full, sizeof(full));
    if (file[0] != '/' && n > 0 && (size_t)n < sizeof(full) - 1) {
        int m = snprintf(full + n, sizeof(full) - (size_t)n, "/%s", file);
        if (m < 0 || (size_t)m >= sizeof(full) - (size_t)n)
            return -ENAMETOOLONG;
        file = full;
    }
    o->file = file;
    int err = cmd_site_init(site, o);
    o->file = NULL;
    site->source.look_only = true;
    return err;
}
