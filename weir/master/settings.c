/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/settings.h"

#include "libweir/base/err.h"
#include "libweir/io/addr.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/directives.h"
#include "weir/ssl/ssl.h"
#include "weir/web/core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CPUS         (16 * 64)
#define DEFAULT_USER "nobody"
#define PATHS_MAX    1024

struct reading {
    struct web_config *config;
    struct wr_arena *arena;
    const struct core_main *core;
    const struct master_conf *own;
    struct settings *out;
    void (*say)(void *ctx, int level, const char *text);
    void *ctx;
};

WR_PRINTF(3, 4)
static void say(const struct reading *r, int level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->say(r->ctx, level, text);
}

static char *text_of(struct reading *r, struct wr_span s)
{
    return wr_arena_strndup(r->arena, s.p, s.n);
}

static int full_path(struct reading *r, struct wr_span path, const char **out)
{
    struct wr_span full;
    int err = site_path(&r->config->load, path, &full);
    if (err)
        return err;
    *out = text_of(r, full);
    return *out ? 0 : -ENOMEM;
}

/* ---- user ------------------------------------------------------------------------------------------------ */

static int read_user(struct reading *r)
{
    struct settings *s = r->out;
    const char *user = r->core->user ? r->core->user : DEFAULT_USER;
    if (wr_os_uid() != 0) {
        if (r->core->user)
            say(r, WR_LOG_WARN,
                "the \"user\" directive makes sense only if the master process runs with "
                "super-user privileges, ignored");
        return 0;
    }
    int err = wr_os_find_user(user, &s->uid, &s->gid);
    if (err) {
        say(r, WR_LOG_CRIT, "getpwnam(\"%s\") failed: no such user", user);
        return WR_E_SYNTAX;
    }
    /* One name alone stands for a group too; where there is none the user's own is meant. */
    const char *group = r->core->group;
    if (group && wr_os_find_group(group, &s->gid) && strcmp(group, user) != 0) {
        say(r, WR_LOG_CRIT, "getgrnam(\"%s\") failed: no such group", group);
        return WR_E_SYNTAX;
    }
    s->user = wr_arena_strndup(r->arena, user, strlen(user));
    s->has_user = true;
    return s->user ? 0 : -ENOMEM;
}

/* ---- processors ---------------------------------------------------------------------------------------- */

/* "0101": the last digit is processor 0. */
static int read_mask(struct reading *r, struct wr_span text, struct settings_mask *out)
{
    *out = (struct settings_mask){0};
    for (size_t i = 0; i < text.n; i++) {
        size_t cpu = text.n - 1 - i;
        if ((text.p[i] != '0' && text.p[i] != '1') || cpu >= CPUS) {
            say(r, WR_LOG_CRIT, "invalid value \"%.*s\" in \"worker_cpu_affinity\"",
                (int)text.n, text.p);
            return WR_E_SYNTAX;
        }
        if (text.p[i] == '1')
            out->cpu[cpu / 64] |= 1ULL << (cpu % 64);
    }
    return 0;
}

/* auto: one processor for each worker, out of the mask when there is one. */
static int spread(struct reading *r, const struct settings_mask *of)
{
    int cpus = wr_os_cpu_count();
    unsigned n = 0;
    struct settings_mask *m = wr_arena_alloc(r->arena, CPUS * sizeof *m);
    if (!m)
        return -ENOMEM;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        if (of ? !(of->cpu[cpu / 64] >> (cpu % 64) & 1) : cpu >= (unsigned)cpus)
            continue;
        m[n] = (struct settings_mask){0};
        m[n++].cpu[cpu / 64] = 1ULL << (cpu % 64);
    }
    r->out->masks = m;
    r->out->n_masks = n;
    return 0;
}

static int read_affinity(struct reading *r)
{
    const struct conf_texts *t = &r->core->worker_cpu_affinity;
    struct settings_mask of;
    if (t->n == 0)
        return 0;
    if (wr_span_eq(t->list[0], WR_LIT("auto"))) {
        int err = t->n > 1 ? read_mask(r, t->list[1], &of) : 0;
        return err ? err : spread(r, t->n > 1 ? &of : NULL);
    }
    struct settings_mask *m = wr_arena_alloc(r->arena, t->n * sizeof *m);
    if (!m)
        return -ENOMEM;
    for (unsigned i = 0; i < t->n; i++) {
        int err = read_mask(r, t->list[i], &m[i]);
        if (err)
            return err;
    }
    r->out->masks = m;
    r->out->n_masks = t->n;
    return 0;
}

/* ---- environment ------------------------------------------------------------------------------------------ */

static const char *env_value(struct wr_span name)
{
    for (char **e = wr_os_environ(); e && *e; e++)
        if (strncmp(*e, name.p, name.n) == 0 && (*e)[name.n] == '=')
            return *e;
    return NULL;
}

/* Workers see TZ and what `env` names, nothing else. */
static int read_env(struct reading *r)
{
    const struct conf_texts *t = &r->core->env;
    const char **env = wr_arena_zalloc(r->arena, (t->n + 2) * sizeof *env);
    unsigned n = 0;
    bool tz = false;
    if (!env)
        return -ENOMEM;
    for (unsigned i = 0; i < t->n; i++) {
        struct wr_span v = t->list[i];
        const char *text = wr_span_find_char(v, '=') >= 0 ? text_of(r, v) : env_value(v);
        tz |= wr_span_has_prefix(v, WR_LIT("TZ=")) || wr_span_eq(v, WR_LIT("TZ"));
        if (text)
            env[n++] = text;
    }
    const char *zone = tz ? NULL : env_value(WR_LIT("TZ"));
    if (zone)
        env[n++] = zone;
    union {
        const char **in;
        char **out;
    } list = {.in = env};
    r->out->env = list.out;
    return 0;
}

/* ---- what the sandbox leaves ------------------------------------------------------------------------------ */

/* Directives whose first argument is a path that workers open while they serve. */
static const struct {
    const char *name;
    bool write;
} path_rows[] = {
    {"root",                    false},
    {"alias",                   false},
    {"auth_basic_user_file",    false},
    {"ssl_certificate",         false},
    {"ssl_certificate_key",     false},
    {"ssl_password_file",       false},
    {"ssl_client_certificate",  false},
    {"ssl_trusted_certificate", false},
    {"ssl_crl",                 false},
    {"ssl_stapling_file",       false},
    {"ssl_session_ticket_key",  false},
    {"ssl_dhparam",             false},
    {"client_body_temp_path",   true },
    {"proxy_temp_path",         true },
};

/* What a resolver, time zones and the C library read when they like. */
static const char *const always_read[] = {
    "/etc/resolv.conf",    "/etc/hosts", "/etc/nsswitch.conf",     "/etc/localtime",
    "/usr/share/zoneinfo", "/dev/null",  "/sys/devices/system/cpu"};

struct paths {
    struct sandbox_path *list;
    unsigned n;
};

/* The part in front of the first variable, cut behind its last '/'. */
static struct wr_span constant_part(struct wr_span path)
{
    ptrdiff_t dollar = wr_span_find_char(path, '$');
    if (dollar < 0)
        return path;
    size_t n = (size_t)dollar;
    while (n && path.p[n - 1] != '/')
        n--;
    return wr_span(path.p, n);
}

static int add_path(struct reading *r, struct paths *p, struct wr_span path, bool write)
{
    const char *full;
    struct wr_span part = constant_part(path);
    if (wr_span_has_prefix(path, WR_LIT("$")))
        say(r, WR_LOG_WARN,
            "sandbox: of what a path names that begins with a variable, workers may read what "
            "other directives and sandbox_read name");
    if (part.n == 0 || wr_span_has_prefix(path, WR_LIT("data:")) ||
        wr_span_has_prefix(path, WR_LIT("engine:")))
        return 0;
    int err = full_path(r, part, &full);
    if (err)
        return err;
    for (unsigned i = 0; i < p->n; i++)
        if (strcmp(p->list[i].path, full) == 0) {
            p->list[i].write |= write;
            return 0;
        }
    if (p->n == PATHS_MAX)
        return 0;
    if (strcmp(full, "/") == 0)
        say(r, WR_LOG_WARN,
            "sandbox: a path that begins with a variable lets workers read "
            "every file that their user may read");
    p->list[p->n++] = (struct sandbox_path){full, write};
    return 0;
}

static int paths_of(struct reading *r, struct paths *p, const struct conf_node *nodes)
{
    int err = 0;
    for (const struct conf_node *n = nodes; n && !err; n = n->next) {
        for (unsigned i = 0; i < WR_ARRAY_LEN(path_rows) && n->nwords > 1; i++)
            if (wr_span_eq(n->words[0].text, wr_span_str(path_rows[i].name)) && !err)
                err = add_path(r, p, conf_arg(n, 1), path_rows[i].write);
        if (!err && n->children)
            err = paths_of(r, p, n->children);
    }
    return err;
}

static int add_texts(struct reading *r, struct paths *p, const struct conf_texts *t, bool write)
{
    int err = 0;
    for (unsigned i = 0; i < t->n && !err; i++)
        err = add_path(r, p, t->list[i], write);
    return err;
}

static int read_paths(struct reading *r)
{
    struct paths p = {.list = wr_arena_alloc(r->arena, PATHS_MAX * sizeof *p.list)};
    if (!p.list)
        return -ENOMEM;
    int err = paths_of(r, &p, r->config->nodes);
    if (!err)
        err = add_texts(r, &p, &r->own->sandbox_read, false);
    if (!err)
        err = add_texts(r, &p, &r->own->sandbox_write, true);
    void *const *outer = r->config->generation->outer_conf;
    if (!err) /* the defaults of root and of client_body_temp_path */
        err = add_path(r, &p, WR_LIT("html"), false);
    if (!err && outer) /* where http names another folder, nobody goes back to the default */
        err = add_path(
            r, &p, ((const struct core_location *)outer[WEB_core])->body_temp_path.path, true);
    for (unsigned i = 0; i < WR_ARRAY_LEN(always_read) && !err; i++)
        err = add_path(r, &p, wr_span_str(always_read[i]), false);
    r->out->paths = p.list;
    r->out->n_paths = p.n;
    return err;
}

/* DNS over TCP, and the responders of OCSP. */
static void read_ports(struct reading *r)
{
    struct settings *s = r->out;
    s->ports[0] = 53;
    s->ports[1] = 80;
    s->n_ports = 2 + ssl_responder_ports(r->config->generation, s->ports + 2,
                                         WR_ARRAY_LEN(s->ports) - 2);
    s->any_port = ssl_responder_anywhere(r->config->generation);
}

/* ---- files of the master ----------------------------------------------------------------------------------- */

static struct wr_span directory_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] != '/')
        n--;
    return wr_span(path, n);
}

static int read_admin(struct reading *r)
{
    struct settings *s = r->out;
    struct wr_span admin = r->own->admin, path;
    struct wr_addr at;
    char *text;
    if (wr_span_eq(admin, WR_LIT("off")))
        return 0;
    if (admin.n == 0 && !s->pid)
        return 0;
    if (admin.n == 0) {
        struct wr_span dir = directory_of(s->pid);
        text = wr_arena_printf(r->arena, "unix:%.*sweir.sock", (int)dir.n, dir.p);
    } else if (wr_span_has_prefix(admin, WR_LIT("unix:"))) {
        int err = site_path(&r->config->load, wr_span_sub(admin, 5, admin.n), &path);
        if (err)
            return err;
        text = wr_arena_printf(r->arena, "unix:%.*s", (int)path.n, path.p);
    } else {
        text = text_of(r, admin);
    }
    if (!text)
        return -ENOMEM;
    if (wr_addr_parse(wr_span_str(text), &at) ||
        (at.kind != WR_ADDR_UNIX && !wr_addr_is_loopback(&at))) {
        if (admin.n == 0)
            return 0; /* a path too long for a socket: no admin listener by itself */
        say(r, WR_LOG_CRIT,
            "\"admin %s\": neither unix:PATH nor an address of loopback with a port", text);
        return WR_E_SYNTAX;
    }
    s->admin = wr_span_str(text);
    return 0;
}

static int read_files(struct reading *r)
{
    struct settings *s = r->out;
    int err = 0;
    if (r->core->working_directory.n)
        err = full_path(r, r->core->working_directory, &s->directory);
    if (!err && r->core->pid.n && !wr_span_eq(r->core->pid, WR_LIT("off")))
        err = full_path(r, r->core->pid, &s->pid);
    if (!err && s->pid && r->own->postmortem.n == 0) {
        s->postmortem = text_of(r, directory_of(s->pid));
        err = s->postmortem ? 0 : -ENOMEM;
    } else if (!err && r->own->postmortem.n && !wr_span_eq(r->own->postmortem, WR_LIT("off"))) {
        err = full_path(r, r->own->postmortem, &s->postmortem);
    }
    return err ? err : read_admin(r);
}

static void check_limit(const struct reading *r)
{
    const struct settings *s = r->out;
    struct rlimit limit = {0};
    if (wr_os_rlimit_get(RLIMIT_NOFILE, &limit) < 0)
        return;
    uint64_t max = s->nofile ? s->nofile : limit.rlim_max;
    if (s->connections > max)
        say(r, WR_LOG_WARN, "%u worker_connections exceed open file resource limit: %llu",
            s->connections, (unsigned long long)max);
}

static unsigned worker_count(const struct reading *r)
{
    int n = r->core->worker_processes;
    if (n == CORE_AUTO)
        n = wr_os_cpu_count();
    return n > 0 ? (unsigned)n : 1;
}

int settings_read(struct web_config *config, struct settings *s,
                  void (*fn)(void *ctx, int level, const char *text), void *ctx)
{
    const struct web_generation *g = config->generation;
    struct reading r = {.config = config,
                        .arena = g->arena,
                        .core = web_generation_core(g, WEB_core),
                        .own = web_generation_core(g, WEB_master),
                        .out = s,
                        .say = fn,
                        .ctx = ctx};
    *s = (struct settings){
        .workers = worker_count(&r),
        .connections = (unsigned)r.core->worker_connections,
        .daemon = r.core->daemon,
        .master_process = r.core->master_process,
        .priority = (int)r.core->worker_priority,
        .nofile = (uint64_t)r.core->worker_rlimit_nofile,
        .core = r.core->worker_rlimit_core,
        .shutdown_ms = r.core->worker_shutdown_timeout_ms,
        .watchdog_ms = r.own->worker_watchdog_ms,
        .memory = r.own->worker_memory,
        .sandbox = (enum sandbox_mode)r.own->sandbox,
    };
    if (!s->master_process)
        s->workers = 1;
    if (s->workers > SETTINGS_WORKERS) {
        say(&r, WR_LOG_CRIT, "%u worker processes: at most %u", s->workers, SETTINGS_WORKERS);
        return WR_E_SYNTAX;
    }
    check_limit(&r);
    read_ports(&r);
    int err = read_user(&r);
    if (!err)
        err = read_affinity(&r);
    if (!err)
        err = read_env(&r);
    if (!err)
        err = read_files(&r);
    return err ? err : read_paths(&r);
}
