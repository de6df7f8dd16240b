/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destinations of logs: what a directive names, checked once in the master, numbered for the logger.
 */
#include "weir/web/logs_private.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/web/host.h"

#include <errno.h>
#include <fcntl.h>

/* ---- syslog:server=ADDRESS[,facility=F][,severity=S][,tag=T][,nohostname] -------------------------------- */

static const struct conf_enum facilities[] = {
    {"kern",     0},
    {"user",          1},
    {"mail",2},
    {"daemon",     3},
    {"auth",          4},
    {"intern",     5},
    {"lpr",     6},
    {"news",          7},
    {"uucp",     8},
    {"clock",      9},
    {"authpriv",          10},
    {"ftp",11},
    {"ntp",     12},
    {"audit",          13},
    {"alert",    14},
    {"cron", 15},
    {"local0",          16},
    {"local1",         17},
    {"local2",      18},
    {"local3",          19},
    {"local4",20},
    {"local5",    21},
    {"local6",          22},
    {"local7",        23},
    {0  },
};
static const struct conf_enum severities[] = {
    {"emerg", 0},
    {"alert",       1},
    {"crit",2},
    {"error",  3},
    {"warn",       4},
    {"notice",     5},
    {"info",  6},
    {"debug",       7},
    {0 },
};

static bool find_name(const struct conf_enum *table, struct wr_span name, uint8_t *out)
{
    for (; table->name; table++) {
        if (!wr_span_eq(name, wr_span_str(table->name)))
            continue;
        *out = (uint8_t)table->value;
        return true;
    }
    return false;
}

static int syslog_server(struct wr_span text, struct wr_addr *out)
{
    struct wr_target target;
    if (wr_span_has_prefix(text, WR_LIT("unix:")))
        return wr_addr_parse(text, out);
    int r = wr_target_parse(text, 514, &target);
    if (r < 0)
        return r;
    if (target.addr.kind == WR_ADDR_NONE && web_host_addrs(target.name, &target.addr, 1))
        target.addr.port = target.port;
    *out = target.addr;
    return target.addr.kind == WR_ADDR_NONE ? WR_E_NOT_FOUND : 0;
}

static bool tag_valid(struct wr_span tag)
{
    for (size_t i = 0; i < tag.n; i++) {
        char c = wr_ascii_lower(tag.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return tag.n > 0 && tag.n <= WR_LOG_TAG_MAX;
}

static int syslog_parameter(struct conf_load *load, const struct conf_node *node, uint32_t word,
                            struct wr_span p, struct wr_log_sink_def *def)
{
    ptrdiff_t eq = wr_span_find_char(p, '=');
    struct wr_span name = eq < 0 ? p : wr_span_sub(p, 0, (size_t)eq);
    struct wr_span value = eq < 0 ? WR_LIT("") : wr_span_sub(p, (size_t)eq + 1, p.n);
    if (wr_span_eq(name, WR_LIT("server"))) {
        int r = syslog_server(value, &def->server);
        if (r == WR_E_NOT_FOUND)
            return conf_fail(load, node, word, "host not found in syslog server \"%.*s\"",
                             WR_SPANF(value));
        return r < 0 ? conf_fail(load, node, word, "invalid syslog server \"%.*s\"",
                                 WR_SPANF(value))
                     : 0;
    }
    if (wr_span_eq(name, WR_LIT("facility")))
        return find_name(facilities, value, &def->facility)
                   ? 0
                   : conf_fail(load, node, word, "unknown syslog facility \"%.*s\"",
                               WR_SPANF(value));
    if (wr_span_eq(name, WR_LIT("severity")))
        return find_name(severities, value, &def->severity)
                   ? 0
                   : conf_fail(load, node, word, "unknown syslog severity \"%.*s\"",
                               WR_SPANF(value));
    if (wr_span_eq(name, WR_LIT("tag"))) {
        if (!tag_valid(value))
            return conf_fail(load, node, word,
                             "syslog \"tag\" is 1 to 32 letters, digits and underscores");
        memset(def->tag, 0, sizeof def->tag);
        memcpy(def->tag, value.p, value.n);
        return 0;
    }
    if (wr_span_eq(p, WR_LIT("nohostname"))) {
        def->nohostname = 1;
        return 0;
    }
    return conf_fail(load, node, word, "unknown syslog parameter \"%.*s\"", WR_SPANF(p));
}

static int parse_syslog(struct conf_load *load, const struct conf_node *node, uint32_t word,
                        struct wr_span text, bool is_error_log, struct wr_log_sink_def *def)
{
    struct wr_span p;
    def->kind = WR_LOG_TO_SYSLOG;
    def->facility = 23;
    def->severity = is_error_log ? WR_LOG_SEVERITY_OF_LEVEL : 6;
    memcpy(def->tag, "weir", 4);
    while (wr_span_split(&text, ',', &p)) {
        int r = syslog_parameter(load, node, word, p, def);
        if (r)
            return r;
    }
    if (def->server.kind == WR_ADDR_NONE)
        return conf_fail(load, node, word, "no syslog server specified");
    if (is_error_log)
        def->severity = WR_LOG_SEVERITY_OF_LEVEL;
    return 0;
}

/* ---- destinations --------------------------------------------------------------------------------------- */

int log_dest_new(struct conf_load *load, const struct conf_node *node, uint32_t word,
                 struct wr_span path, bool is_error_log, struct log_dest **out)
{
    struct log_dest *d = wr_arena_zalloc(load->arena, sizeof *d);
    int r = 0;
    if (!d)
        return -ENOMEM;
    d->node = node;
    d->word = word;
    if (wr_span_has_prefix(path, WR_LIT("syslog:"))) {
        r = parse_syslog(load, node, word, wr_span_sub(path, 7, path.n), is_error_log, &d->def);
    } else if (wr_span_has_prefix(path, WR_LIT("memory:"))) {
        return conf_fail(
            load, node, word,
            "memory logs do not exist here: every worker keeps its last events in a "
            "flight recorder instead");
    } else if (is_error_log && wr_span_eq(path, WR_LIT("stderr"))) {
        d->def.kind = WR_LOG_TO_STDERR;
    } else {
        d->def.kind = WR_LOG_TO_FILE;
        r = site_path(load, path, &path);
        if (!r && path.n >= sizeof d->def.path)
            return conf_fail(load, node, word, "the path is longer than %d bytes",
                             WR_LOG_PATH_MAX - 1);
        if (!r)
            memcpy(d->def.path, path.p, path.n);
    }
    *out = d;
    return r;
}

struct log_dest *log_dest_add(const struct conf_scope *scope, struct wr_arena *arena,
                              const struct log_dest *dest)
{
    struct log_core_conf *core = scope->at[CONF_AT_CORE][WEB_log];
    struct log_dest **at = &core->dests;
    for (; *at; at = &(*at)->next)
        if (memcmp(&(*at)->def, &dest->def, sizeof dest->def) == 0)
            return *at;
    struct log_dest *d = wr_arena_alloc(arena, sizeof *d);
    if (!d)
        return NULL;
    *d = *dest;
    d->next = NULL;
    *at = d;
    return d;
}

/* ---- for the master ----------------------------------------------------------------------------------- */

static int register_main(struct wr_log_sinks *sinks, const struct log_core_conf *conf,
                         const char *path)
{
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_FILE};
    unsigned channel = 0;
    if (conf->errors && conf->errors->dest) {
        channel = conf->errors->dest->channel;
    } else if (path) {
        size_t n = strlen(path);
        if (n >= sizeof def.path)
            return -ENAMETOOLONG;
        if (strcmp(path, "stderr") == 0)
            def.kind = WR_LOG_TO_STDERR;
        else
            memcpy(def.path, path, n);
        int r = wr_log_sinks_add(sinks, &def, &channel);
        if (r < 0)
            return r;
    }
    wr_log_sinks_set_main(sinks, channel);
    return 0;
}

int web_logs_register(struct web_generation *g, struct wr_log_sinks *sinks, const char *main)
{
    struct log_core_conf *conf = web_generation_core(g, WEB_log);
    wr_log_sinks_begin(sinks);
    for (struct log_dest *d = conf->dests; d; d = d->next) {
        int r = wr_log_sinks_add(sinks, &d->def, &d->channel);
        if (r < 0)
            return r;
    }
    return register_main(sinks, conf, main);
}

enum wr_log_level web_logs_level(const struct web_generation *g)
{
    const struct log_core_conf *conf = web_generation_core(g, WEB_log);
    return conf->errors ? (enum wr_log_level)conf->errors->level : WR_LOG_ERROR;
}
