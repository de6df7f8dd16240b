/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"

#include "libweir/base/err.h"
#include "libweir/libweir.h"
#include "libweir/os/os.h"
#include "weir/master/master.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * `weir serve DIR`: a folder on a port, without a file to write first. It is the ordinary server with a configuration
 * made here, which --print-config shows: who outgrows the command begins with that text.
 */

struct serve {
    const char *dir;
    const char *listen; /* as the directive takes it */
    bool autoindex, print;
};

static const char head[] = "daemon off;\n"
                           "worker_processes auto;\n"
                           "error_log stderr notice;\n"
                           "pid off;\n"
                           "admin off;\n"
                           "events { worker_connections 4096; }\n"
                           "http {\n";

static const char types[] =
    "    types {\n"
    "        text/html html htm; text/css css; text/plain txt log md; text/xml xml; text/csv "
    "csv;\n"
    "        text/javascript js mjs; application/json json map; application/wasm wasm;\n"
    "        application/pdf pdf; application/zip zip; application/gzip gz tgz;\n"
    "        image/gif gif; image/jpeg jpg jpeg; image/png png; image/webp webp; image/avif "
    "avif;\n"
    "        image/svg+xml svg svgz; image/x-icon ico; font/woff woff; font/woff2 woff2;\n"
    "        audio/mpeg mp3; audio/ogg ogg; video/mp4 mp4; video/webm webm;\n"
    "    }\n"
    "    default_type application/octet-stream;\n"
    "    access_log /dev/stdout;\n"
    "    sendfile on;\n"
    "    gzip on;\n"
    "    gzip_types text/css text/plain text/javascript application/json image/svg+xml;\n"
    "    client_max_body_size 1m;\n"
    "    client_body_temp_path /tmp;\n";

static int parse(int argc, char **argv, struct serve *out)
{
    struct serve s = {.dir = NULL, .listen = "8080"};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--autoindex") == 0)
            s.autoindex = true;
        else if (strcmp(a, "--print-config") == 0)
            s.print = true;
        else if (strcmp(a, "--listen") == 0 && i + 1 < argc)
            s.listen = argv[++i];
        else if (strncmp(a, "--listen=", 9) == 0)
            s.listen = a + 9;
        else if (a[0] == '-' || s.dir)
            return WR_E_SYNTAX;
        else
            s.dir = a;
    }
    if (s.listen[0] == ':') /* every address */
        s.listen++;
    if (!s.dir)
        s.dir = ".";
    *out = s;
    return *s.listen ? 0 : WR_E_SYNTAX;
}

/* The folder's full name, as a quoted word. -EINVAL: the grammar cannot say it ($ begins a variable). */
static int quote_dir(const char *dir, char *out, size_t n)
{
    char cwd[CMD_PATH];
    ssize_t len = dir[0] == '/' ? 0 : wr_os_readlink("/proc/self/cwd", cwd, sizeof(cwd) - 2);
    size_t used = 0;
    if (len < 0)
        return (int)len;
    if (len)
        cwd[len++] = '/';
    cwd[len] = '\0';
    if (strcmp(dir, ".") == 0)
        dir = "";
    for (int part = 0; part < 2; part++) {
        for (const char *p = part ? dir : cwd; *p; p++) {
            if (*p == '$')
                return -EINVAL;
            if (used + 3 > n)
                return -ENAMETOOLONG;
            if (*p == '"' || *p == '\\')
                out[used++] = '\\';
            out[used++] = *p;
        }
    }
    while (used > 1 && out[used - 1] == '/')
        used--;
    out[used] = '\0';
    return 0;
}

static int make_text(const struct serve *s, char *out, size_t n)
{
    char dir[CMD_PATH];
    int err = quote_dir(s->dir, dir, sizeof(dir));
    if (err)
        return err;
    int a = snprintf(out, n, "%s", head);
    int b = snprintf(out + a, n - (size_t)a,
                     "%s    server {\n"
                     "        listen %s;\n"
                     "        root \"%s\";\n"
                     "        index index.html index.htm;\n"
                     "%s"
                     "    }\n"
                     "}\n",
                     types, s->listen, dir, s->autoindex ? "        autoindex on;\n" : "");
    return a < 0 || b < 0 || (size_t)a + (size_t)b >= n ? -ENAMETOOLONG : 0;
}

static void print_address(const struct serve *s)
{
    bool port_only = strspn(s->listen, "0123456789") == strlen(s->listen);
    const char *star = strncmp(s->listen, "*:", 2) == 0 ? s->listen + 2 : NULL;
    out_print(2, "weir: %s will be at http://%s%s/ (Ctrl-C ends it)\n", s->dir,
              port_only || star ? "127.0.0.1:" : "", star ? star : s->listen);
}

int cmd_serve(int argc, char **argv)
{
    static char text[16384];
    struct serve s;
    struct cmd_site site;
    struct stat st;
    const struct opt o = {.file = "weir serve"};
    if (parse(argc, argv, &s)) {
        out_print(
            2, "usage: weir serve [DIR] [--listen ADDRESS] [--autoindex] [--print-config]\n");
        return CMD_USAGE;
    }
    int err = wr_os_stat(s.dir, &st);
    if (!err && !S_ISDIR(st.st_mode))
        err = -ENOTDIR;
    if (!err)
        err = make_text(&s, text, sizeof(text));
    if (!err)
        err = cmd_site_init(&site, &o);
    if (err) {
        out_print(2, "weir serve: \"%s\": %s\n", s.dir, wr_err_text(err));
        return CMD_FAILED;
    }
    if (s.print) {
        out_span(1, wr_span_str(text));
        return CMD_OK;
    }
    site.source.path = "weir serve --print-config";
    site.source.text = text;
    print_address(&s);
    return master_run(&(struct master_options){.source = &site.source, .version = WR_VERSION});
}
