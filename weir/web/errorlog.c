/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The error log: the error_log directive, and the shape of its lines.
 *
 *     2026/11/21 10:00:00 [error] 12#12: *7 open() "/a" failed (2: No such file or directory),
 *     client: 10.0.0.1, server: example.org, request: "GET /a HTTP/1.1", host: "example.org"
 *
 * A message that comes too often (its format is its name) is held back for the rest of a second and then
 * counted in one line: a flood of bad requests is no flood of lines.
 */
#include "weir/web/logs_private.h"
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/io/log_ring.h"
#include "libweir/io/loop.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BURST       100  /* lines of one kind a second */
#define MESSAGE_MAX 2048 /* of one line, as people expect it */

/* ---- lines ---------------------------------------------------------------------------------------------- */

struct line {
    char *p, *end;
};

static void put(struct line *l, struct wr_span s)
{
    size_t room = (size_t)(l->end - l->p), n = s.n < room ? s.n : room;
    memcpy(l->p, s.p, n);
    l->p += n;
}

/* Text from outside: printable, and on one line. */
static void put_safe(struct line *l, struct wr_span s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n && l->end - l->p >= 4; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f)
            *l->p++ = (char)c;
        else {
            memcpy(l->p, (char[4]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
            l->p += 4;
        }
    }
}

WR_PRINTF(2, 0)
static void put_vformat(struct line *l, const char *fmt, va_list ap)
{
    char text[MESSAGE_MAX];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n > 0)
        put_safe(l, wr_span(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

WR_PRINTF(2, 3)
static void put_format(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_vformat(l, fmt, ap);
    va_end(ap);
}

static void put_quoted(struct line *l, const char *name, struct wr_span s)
{
    put(l, wr_span_str(name));
    put_safe(l, s);
    put(l, WR_LIT("\""));
}

static void put_head(struct line *l, uint64_t wall_ns, int level, uint32_t pid)
{
    struct tm t;
    wr_os_calendar((int64_t)(wall_ns / 1000000000), false, &t);
    put_format(l, "%04d/%02d/%02d %02d:%02d:%02d [%s] %u#%u: ", t.tm_year + 1900, t.tm_mon + 1,
               t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
               wr_log_level_name((enum wr_log_level)level), pid, pid);
}

static void put_errno(struct line *l, int err)
{
    const char *text = err < 0 ? strerrordesc_np(-err) : NULL;
    if (err < 0)
        put_format(l, " (%d: %s)", -err, text ? text : wr_err_text(err));
}

static void put_client(struct line *l, const struct wr_addr *a)
{
    char text[WR_ADDR_TEXT_MAX];
    if (a->kind == WR_ADDR_UNIX) {
        put(l, WR_LIT(", client: unix:"));
        return;
    }
    size_t n = wr_addr_format_ip(a, text);
    put(l, WR_LIT(", client: "));
    put(l, wr_span(text, n));
}

static void put_request(struct line *l, const struct web_req *r)
{
    const struct web_req *top = r->main ? r->main : r;
    put_client(l, &r->client);
    if (r->server) {
        put(l, WR_LIT(", server: "));
        put_safe(l, r->server->name);
    }
    if (top->line.n)
        put_quoted(l, ", request: \"", top->line);
    if (r != top)
        put_quoted(l, ", subrequest: \"", r->uri);
    struct wr_span host = r->head ? web_field(r, WR_LIT("Host")) : (struct wr_span){0};
    if (host.p)
        put_quoted(l, ", host: \"", host);
    struct wr_span referer = r->head ? web_field(r, WR_LIT("Referer")) : (struct wr_span){0};
    if (referer.p)
        put_quoted(l, ", referrer: \"", referer);
}

size_t web_logs_line(char *out, size_t n, const struct wr_log_record *record)
{
    struct line l = {out, out + n - 1};
    put_head(&l, record->time_ns, record->level, record->pid);
    put_safe(&l, record->text);
    *l.p++ = '\n';
    return (size_t)(l.p - out);
}

/* ---- who wants it --------------------------------------------------------------------------------------- */

static const struct error_target *targets(const struct web_location *location)
{
    const struct log_location_conf *conf = location ? location->conf[WEB_log] : NULL;
    return conf ? conf->errors : NULL;
}

static const struct error_target *request_targets(const struct web_req *r)
{
    if (r->location)
        return targets(r->location);
    return r->server ? targets(r->server->outer) : NULL;
}

static bool wanted(const struct error_target *t, int level)
{
    if (!t)
        return level >= WR_LOG_ERROR;
    while (t && level < t->level)
        t = t->next;
    return t != NULL;
}

bool web_error_wanted(const struct web_req *r, int level)
{
    return wanted(request_targets(r), level);
}

bool web_server_error_wanted(const struct web_server *s, int level)
{
    return wanted(targets(s->outer), level);
}

struct message {
    const struct error_target *to;
    struct wr_log *log;
    enum wr_log_level level;
    uint64_t held; /* back, of its kind */
    struct line line;
    char text[WR_LOG_RECORD_MAX];
};

/* False: nobody wants it, which is asked first and costs nothing, or it comes too often. */
static bool begin(struct message *m, const struct error_target *to, struct wr_log *log,
                  int level, const char *fmt)
{
    m->to = to, m->log = log, m->level = (enum wr_log_level)level;
    m->line = (struct line){m->text, m->text + sizeof m->text};
    return wanted(to, level) && wr_log_allow(log, fmt, m->level, "web", fmt, BURST, &m->held);
}

WR_PRINTF(3, 0)
static void put_message(struct message *m, int err, const char *fmt, va_list ap)
{
    put_vformat(&m->line, fmt, ap);
    put_errno(&m->line, err);
    if (m->held)
        put_format(&m->line, " (%llu more like this were held back)",
                   (unsigned long long)m->held);
}

static void finish(struct message *m)
{
    struct wr_span line = wr_span(m->text, (size_t)(m->line.p - m->text));
    if (!m->to)
        (void)wr_log_raw_at(m->log, 0, m->level, line);
    for (const struct error_target *t = m->to; t; t = t->next)
        if ((int)m->level >= t->level)
            (void)wr_log_raw_at(m->log, t->dest ? t->dest->channel : 0, m->level, line);
}

/* A worker that has an ear of its own (`explain`) is told the bare message. */
WR_PRINTF(4, 0)
static bool told(struct web_req *r, int level, int err, const char *fmt, va_list ap)
{
    struct web_worker *w = web_worker_of(r);
    char text[MESSAGE_MAX];
    if (!w || !w->on_error)
        return false;
    struct line l = {text, text + sizeof text - 1};
    put_vformat(&l, fmt, ap);
    put_errno(&l, err);
    *l.p = 0;
    w->on_error(w, r, level, text);
    return true;
}

void web_error(struct web_req *r, int level, int err, const char *fmt, ...)
{
    struct message m;
    va_list ap;
    va_start(ap, fmt);
    if (!told(r, level, err, fmt, ap) &&
        begin(&m, request_targets(r), web_log(r), level, fmt)) {
        put_head(&m.line, wr_loop_wall_ns(web_loop(r)), level, (uint32_t)wr_os_getpid());
        put_format(&m.line, "*%llu ", (unsigned long long)(r->conn ? r->conn->number : 0));
        put_message(&m, err, fmt, ap);
        put_request(&m.line, r);
        finish(&m);
    }
    va_end(ap);
}

void web_conn_error(const struct web_conn *c, struct wr_log *log, uint64_t wall_ns, int level,
                    int err, const char *fmt, ...)
{
    struct message m;
    char address[WR_ADDR_TEXT_MAX];
    if (!begin(&m, c->server ? targets(c->server->outer) : NULL, log, level, fmt))
        return;
    put_head(&m.line, wall_ns, level, (uint32_t)wr_os_getpid());
    put_format(&m.line, "*%llu ", (unsigned long long)c->number);
    va_list ap;
    va_start(ap, fmt);
    put_message(&m, err, fmt, ap);
    va_end(ap);
    put_client(&m.line, &c->peer);
    size_t n = wr_addr_format(&c->local, address);
    put(&m.line, WR_LIT(", server: "));
    put(&m.line, wr_span(address, n));
    finish(&m);
}

void web_server_error(const struct web_server *s, struct wr_log *log, uint64_t wall_ns,
                      int level, const char *fmt, ...)
{
    struct message m;
    if (!begin(&m, targets(s->outer), log, level, fmt))
        return;
    put_head(&m.line, wall_ns, level, (uint32_t)wr_os_getpid());
    va_list ap;
    va_start(ap, fmt);
    put_message(&m, 0, fmt, ap);
    va_end(ap);
    finish(&m);
}

/* ---- error_log ------------------------------------------------------------------------------------------ */

static const struct conf_enum levels[] = {
    {"debug",        WR_LOG_DEBUG},
    {"info",              WR_LOG_INFO},
    {"notice",WR_LOG_NOTICE},
    {"warn",       WR_LOG_WARN},
    {"error",              WR_LOG_ERROR},
    {"crit",WR_LOG_CRIT},
    {"alert",        WR_LOG_LEVELS},
    {"emerg",              WR_LOG_LEVELS},
    {"debug_core",       WR_LOG_DEBUG},
    {"debug_alloc",        WR_LOG_DEBUG},
    {"debug_mutex",              WR_LOG_DEBUG},
    {"debug_event",WR_LOG_DEBUG},
    {"debug_http",   WR_LOG_DEBUG},
    {"debug_mail",              WR_LOG_DEBUG},
    {"debug_stream",WR_LOG_DEBUG},
    {0 },
};

static int read_level(struct conf_load *load, const struct conf_node *node, int *out)
{
    *out = node->nwords > 2 ? WR_LOG_LEVELS : WR_LOG_ERROR;
    for (uint32_t i = 2; i < node->nwords; i++) {
        const struct conf_enum *e = levels;
        while (e->name && !wr_span_eq(conf_arg(node, i), wr_span_str(e->name)))
            e++;
        if (!e->name)
            return conf_fail(load, node, i, "invalid log level \"%.*s\"",
                             WR_SPANF(conf_arg(node, i)));
        if (e->value < *out)
            *out = e->value;
    }
    return 0;
}

int log_set_error(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct error_target **at = field;
    struct log_dest *dest;
    (void)row;
    struct error_target *t = wr_arena_zalloc(load->arena, sizeof *t);
    int r = t ? log_dest_new(load, node, 1, conf_arg(node, 1), true, &dest) : -ENOMEM;
    if (!r)
        r = read_level(load, node, &t->level);
    if (r)
        return r;
    t->dest = log_dest_add(load->scope, load->arena, dest);
    if (!t->dest)
        return -ENOMEM;
    while (*at)
        at = &(*at)->next;
    *at = t;
    return 0;
}
