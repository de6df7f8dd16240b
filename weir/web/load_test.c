/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/load.h"

#include "libweir/os/os.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/load-test-XXXXXX", path[64], prefix[64], said[2048];

static void say(void *ctx, int severity, const char *text, const char *hint)
{
    (void)ctx;
    if (severity == WEB_SAY_WARN)
        return;
    (void)snprintf(said, sizeof(said), "%s%s%s", text, hint ? " | " : "", hint ? hint : "");
}

static struct web_source source = {.prefix = prefix, .path = path, .say = say};

static void put(const char *name, const char *text)
{
    char full[128];
    (void)snprintf(full, sizeof(full), "%s/%s", dir, name);
    int fd = open(full, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

static void test_files(void)
{
    struct web_config *config = NULL;
    put("t.conf", "events { }\ninclude more.conf;\n");
    put("more.conf", "http { include d*.inc; server { listen 8080; } }\n");
    put("d1.inc", "root a;\n");
    is_int(web_load(wr_os_heap(), &source, NULL, &config), 0, "a file and what it includes: %s",
           said);
    ok(config && config->load.files && config->load.files->next &&
           config->load.files->next->next,
       "all three are known");
    ok(config && config->generation->nservers == 1, "one server");
    web_config_free(&config);
    ok(!config, "freed");
    web_config_free(&config);
    source.directives = "worker_processes 3;";
    put("t.conf", "worker_processes 2;\nevents { }\n");
    ok(web_load(wr_os_heap(), &source, NULL, &config) < 0 && !config, "-g comes first");
    ok(strstr(said, "\"worker_processes\" directive is duplicate in") &&
           strstr(said, "t.conf:1"),
       "%s", said);
    source.directives = "events { }";
    ok(web_load(wr_os_heap(), &source, NULL, &config) < 0, "no blocks in -g");
    is_str(said, "block directives are not supported in -g option in command line | column 1",
           "as nginx says");
    source.directives = "pid off";
    ok(web_load(wr_os_heap(), &source, NULL, &config) < 0, "no end in -g");
    ok(strstr(said, "unexpected end of parameter, expecting \";\" in command line"), "%s",
       said);
    source.directives = NULL;
    source.text = "events { }\nhttp { include more.inc; }\n";
    put("more.inc", "etag off;");
    is_int(web_load(wr_os_heap(), &source, NULL, &config), 0, "a text instead of the file: %s",
           said);
    web_config_free(&config);
    source.text = "events { }\nhttp { aio threads; directio 4m; }\n"
                  "thread_pool default threads=2 max_queue=9;\n";
    is_int(web_load(wr_os_heap(), &source, NULL, &config), 0, "a pool behind its use: %s",
           said);
    web_config_free(&config);
    source.text =
        "thread_pool default threads=2;\nthread_pool default threads=2;\nevents { }\n";
    ok(web_load(wr_os_heap(), &source, NULL, &config) < 0 &&
           strstr(said, "duplicate thread pool \"default\""),
       "twice is too often: %s", said);
    source.text = NULL;
}

static void bad_path(const char *what, const char *to, const char *message)
{
    struct web_config *config = NULL;
    struct web_source s = source;
    s.path = to;
    int err = web_load(wr_os_heap(), &s, NULL, &config);
    ok(err < 0 && !config && strstr(said, message), "%s: %s", what, said);
}

static void test_bad_files(void)
{
    char fifo[64];
    bad_path("a directory", dir, "failed (21: Is a directory)");
    bad_path("nothing", "/nonexistent/t.conf", "open() \"/nonexistent/t.conf\" failed (2:");
    (void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    if (mkfifo(fifo, 0600))
        abort();
    struct web_config *config = NULL;
    struct web_source s = source;
    s.path = fifo; /* nobody writes: empty, and no waiting */
    ok(web_load(wr_os_heap(), &s, NULL, &config) < 0, "a pipe does not make it wait: %s", said);
    static char text[65536 + 100];
    memset(text, '\n', sizeof(text) - 1);
    memcpy(text, "events { }", 10);
    memcpy(text + sizeof(text) - 20, "not a directive;", 16);
    int fd = open(fifo, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETPIPE_SZ, 1 << 17) < 0 ||
        write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
        abort();
    bad_path("more than a pipe may bring", fifo, "failed (27: File too large)");
    close(fd);
    unlink(fifo);
}

/* A little of every module that there is. */
static const char whole[] =
    "user nobody; worker_processes auto; error_log stderr warn; pid t.pid; env A=b;\n"
    "events { worker_connections 64; }\n"
    "http {\n"
    "  types { text/html html; text/plain txt; } default_type text/plain; access_log off;\n"
    "  log_format f '$remote_addr $request \"$http_x\" ${status}' '$args';\n"
    "  map $uri $m { default a; hostnames; ~^/(?<n>x+)$ $n; /b c; *.d e; }\n"
    "  geo $g { default 0; 10.0.0.0/8 1; 2001:db8::/32 2; }\n"
    "  split_clients $remote_addr $s { 10% a; * b; }\n"
    "  limit_req_zone $binary_remote_addr zone=r:64k rate=10r/s;\n"
    "  limit_conn_zone $binary_remote_addr zone=c:64k;\n"
    "  gzip on; gzip_types text/css; brotli on; zstd on; sub_filter a b; charset utf-8;\n"
    "  add_header A $m always; expires 1h; userid on; set_real_ip_from 10.0.0.0/8;\n"
    "  server { listen 8080 default_server; listen [::1]:8080; server_name a *.b ~^(?<v>.+)$;\n"
    "    error_page 404 /404.html; error_page 500 502 =200 @n; allow 10.0.0.0/8; deny all;\n"
    "    if ($args ~ q=(.*)) { set $q $1; rewrite ^/a/(.*)$ /b/$1?$q last; }\n"
    "    location / { root html/$host; index i.html $m.html; try_files $uri @n; limit_req "
    "zone=r; }\n"
    "    location = /e { return 301 $scheme://$host$request_uri; }\n"
    "    location ^~ /p/ { alias q/; autoindex on; limit_conn c 2; location /p/q { internal; } "
    "}\n"
    "    location ~ \\.(gif|png)$ { expires max; valid_referers none server_names *.b;\n"
    "      if ($invalid_referer) { return 403; } limit_except GET { deny all; } }\n"
    "    location @n { secure_link $arg_s,$arg_e; secure_link_md5 \"x$uri\"; empty_gif; }\n"
    "  }\n"
    "  server { listen 8080; server_name c; auth_basic x; auth_basic_user_file pw; satisfy "
    "any; }\n"
    "}\n";

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct web_config *config = NULL;
    struct wr_mem_options memory;
    struct web_source s = source;
    (void)arg;
    wr_mem_options_default(&memory);
    memory.passthrough = true;
    s.memory = &memory;
    said[0] = '\0';
    int err = web_load(heap, &s, NULL, &config);
    web_config_free(&config);
    return err && !said[0] ? 1 : err; /* a failure that says nothing is a defect */
}

int main(void)
{
    if (!mkdtemp(dir))
        abort();
    (void)snprintf(path, sizeof(path), "%s/t.conf", dir);
    (void)snprintf(prefix, sizeof(prefix), "%s/", dir);
    test_files();
    test_bad_files();
    put("t.conf", whole);
    put("pw", "a:{PLAIN}b\n");
    source.look_only = true;
    nth_every("a whole configuration", scenario, NULL);
    static const char *const names[] = {"t.conf", "more.conf", "d1.inc", "more.inc", "pw"};
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        char full[128];
        (void)snprintf(full, sizeof(full), "%s/%s", dir, names[i]);
        unlink(full);
    }
    ok(rmdir(dir) == 0, "nothing else was made");
    return tap_done();
}
