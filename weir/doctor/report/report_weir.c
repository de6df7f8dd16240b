/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "weir's own account": what the workers of a weir server keep in shared memory about themselves and their
 * connections, beside what the kernel says of them.
 */
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/conns.h"
#include "weir/stats/text.h"

#include <inttypes.h>

static bool is_of(const struct doctor_case *c, uint32_t pid)
{
    for (unsigned i = 0; i < c->n_pids; i++)
        if (c->pids[i] == pid)
            return true;
    return false;
}

static const char *ms_text(const struct wr_heap *heap, enum doctor_lang lang,
                           struct stats_text *t, uint64_t ms)
{
    *t = (struct stats_text){.heap = heap};
    catalogue_value(t, lang, UNIT_MS, ms);
    stats_put(t, wr_span("", 1));
    return t->failed || !t->p ? "?" : t->p;
}

static bool is_stuck(const struct facts_weir *w)
{
    return w->stuck_ms != FACTS_UNKNOWN;
}

static void put_doing(struct stats_text *t, const struct facts_look *l,
                      const struct facts_weir *w, enum doctor_lang lang)
{
    stats_put(t, wr_span_str(WORD(lang, OWN_OPEN)));
    if (is_stuck(w)) {
        stats_printf(t, WORD(lang, OWN_STUCK), facts_text(l, w->what));
        catalogue_value(t, lang, UNIT_MS, w->stuck_ms);
    } else if (w->running_ms != FACTS_UNKNOWN) {
        stats_put(t, wr_span_str(WORD(lang, OWN_RUNNING)));
        catalogue_value(t, lang, UNIT_MS, w->running_ms);
    } else {
        stats_put(t, wr_span_str(WORD(lang, OWN_WAITS)));
    }
    if (*facts_text(l, w->syscall)) {
        stats_put(t, WR_LIT(", "));
        plain_put(t, wr_span_str(facts_text(l, w->syscall)));
    }
    if (*facts_text(l, w->path)) {
        stats_printf(t, " fd %d ", w->fd);
        plain_put(t, wr_span_str(facts_text(l, w->path)));
    }
}

static void tell_stage(struct stats_text *out, const struct facts_look *l,
                       const struct facts_weir_stage *g, const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap}, a, b, d;
    stats_printf(&t, WORD(s->lang, OWN_STAGE), conns_state_name(g->stage), g->count, g->number,
                 g->number);
    if (*facts_text(l, g->peer)) {
        stats_put(&t, WR_LIT(" "));
        plain_put(&t, wr_span_str(facts_text(l, g->peer)));
    }
    stats_printf(&t, WORD(s->lang, OWN_OLDEST), ms_text(out->heap, s->lang, &a, g->in_stage_ms),
                 ms_text(out->heap, s->lang, &b, g->age_ms), g->requests);
    stats_text_free(&a);
    stats_text_free(&b);
    if (g->left_ms != FACTS_UNKNOWN) {
        stats_printf(&t, WORD(s->lang, OWN_DUE), ms_text(out->heap, s->lang, &d, g->left_ms));
        stats_text_free(&d);
    }
    if (*facts_text(l, g->doing)) {
        stats_put(&t, WR_LIT(": "));
        plain_put(&t, wr_span_str(facts_text(l, g->doing)));
    }
    report_spaces(out, 6);
    report_wrap_text(out, s, 8, &t);
}

static void tell_events(struct stats_text *out, const struct facts_look *l, uint32_t pid,
                        const struct doctor_style *s)
{
    bool first = true;
    for (uint32_t i = 0; i < l->weir_events.n; i++) {
        struct stats_text t = {.heap = out->heap};
        if (l->weir_events.v[i].pid != pid)
            continue;
        if (first)
            stats_printf(out, "      %s\n", WORD(s->lang, OWN_LAST));
        first = false;
        plain_put(&t, wr_span_str(facts_text(l, l->weir_events.v[i].line)));
        report_spaces(out, 8);
        report_wrap_text(out, s, 10, &t);
    }
}

static void tell_worker(struct stats_text *out, const struct facts_look *l,
                        const struct facts_weir *w, const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap};
    stats_printf(&t, WORD(s->lang, OWN_WORKER), w->worker, w->pid, w->open, w->requests);
    put_doing(&t, l, w, s->lang);
    report_spaces(out, 4);
    report_wrap_text(out, s, 6, &t);
    for (uint32_t i = 0; i < l->weir_stages.n; i++)
        if (l->weir_stages.v[i].pid == w->pid)
            tell_stage(out, l, &l->weir_stages.v[i], s);
    if (is_stuck(w) || s->verbose)
        tell_events(out, l, w->pid, s);
}

static bool is_lent_by(const struct facts_look *l, const struct facts_weir_pool *p,
                       const struct facts_weir_lease *e)
{
    return e->pid == p->pid && strcmp(facts_text(l, e->pool), facts_text(l, p->name)) == 0;
}

static void tell_lease(struct stats_text *out, const struct facts_look *l,
                       const struct facts_weir_lease *e, const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap}, a, where = {.heap = out->heap};
    plain_put(&where, wr_span_str(facts_text(l, e->where)));
    stats_put(&where, wr_span("", 1));
    stats_printf(&t, WORD(s->lang, OWN_HELD), ms_text(out->heap, s->lang, &a, e->held_ms),
                 where.p ? where.p : "?");
    stats_text_free(&a);
    stats_text_free(&where);
    report_spaces(out, 6);
    report_wrap_text(out, s, 8, &t);
}

static void tell_pool(struct stats_text *out, const struct facts_look *l,
                      const struct facts_weir_pool *p, const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap}, a, name = {.heap = out->heap};
    plain_put(&name, wr_span_str(facts_text(l, p->name)));
    stats_put(&name, wr_span("", 1));
    stats_printf(&t, WORD(s->lang, OWN_POOL), name.p ? name.p : "?", p->pid, p->lent,
                 p->max_open);
    stats_text_free(&name);
    if (p->waited_ms != FACTS_UNKNOWN) {
        stats_printf(&t, WORD(s->lang, OWN_POOL_WAITS), p->waiting,
                     ms_text(out->heap, s->lang, &a, p->waited_ms));
        stats_text_free(&a);
    }
    report_spaces(out, 4);
    report_wrap_text(out, s, 6, &t);
    for (uint32_t i = 0; i < l->weir_leases.n; i++)
        if (is_lent_by(l, p, &l->weir_leases.v[i]))
            tell_lease(out, l, &l->weir_leases.v[i], s);
}

void report_weir(struct stats_text *out, const struct doctor_case *c,
                 const struct doctor_style *s)
{
    const struct facts_look *l = c->books;
    stats_put(out, WR_LIT("\n  "));
    report_colour(out, s, "1");
    bool weir = false;
    for (uint32_t i = 0; i < l->weirs.n; i++)
        weir |= is_of(c, l->weirs.v[i].pid);
    stats_put(out,
              wr_span_str(weir ? WORD(s->lang, OWN_TITLE) : WORD(s->lang, OWN_TITLE_OTHER)));
    report_colour(out, s, "0");
    stats_put(out, WR_LIT("\n"));
    for (uint32_t i = 0; i < l->weirs.n; i++)
        if (is_of(c, l->weirs.v[i].pid))
            tell_worker(out, l, &l->weirs.v[i], s);
    for (uint32_t i = 0; i < l->weir_pools.n; i++)
        if (is_of(c, l->weir_pools.v[i].pid))
            tell_pool(out, l, &l->weir_pools.v[i], s);
}

/* ---- for a program ------------------------------------------------------------------------------------ */
static void text(struct stats_text *out, const char *key, const struct facts_look *l,
                 uint32_t at)
{
    if (!*facts_text(l, at))
        return;
    stats_printf(out, ",\"%s\":", key);
    report_json_string(out, wr_span_str(facts_text(l, at)));
}

static void known(struct stats_text *out, const char *key, uint64_t v)
{
    if (v != FACTS_UNKNOWN)
        stats_printf(out, ",\"%s\":%" PRIu64, key, v);
}

static void stage(struct stats_text *out, const struct facts_look *l,
                  const struct facts_weir_stage *g, const char *comma)
{
    stats_printf(out,
                 "%s{\"stage\":\"%s\",\"connections\":%u,\"oldest\":{\"id\":%" PRIu64
                 ",\"fd\":%u,\"age_ms\":%" PRIu64 ",\"in_stage_ms\":%" PRIu64
                 ",\"requests\":%u",
                 comma, conns_state_name(g->stage), g->count, g->number, g->fd, g->age_ms,
                 g->in_stage_ms, g->requests);
    known(out, "left_ms", g->left_ms);
    text(out, "peer", l, g->peer);
    text(out, "doing", l, g->doing);
    stats_put(out, WR_LIT("}}"));
}

static void worker(struct stats_text *out, const struct facts_look *l,
                   const struct facts_weir *w, const char *comma)
{
    stats_printf(out,
                 "%s{\"pid\":%u,\"worker\":%u,\"open\":%" PRIu64 ",\"accepted\":%" PRIu64
                 ",\"requests\":%" PRIu64,
                 comma, w->pid, w->worker, w->open, w->accepted, w->requests);
    known(out, "heartbeat_ms", w->heartbeat_ms);
    known(out, "running_ms", w->running_ms);
    known(out, "stuck_ms", w->stuck_ms);
    text(out, "stuck_in", l, w->what);
    text(out, "syscall", l, w->syscall);
    text(out, "path", l, w->path);
    const char *between = "";
    stats_put(out, WR_LIT(",\"stages\":["));
    for (uint32_t i = 0; i < l->weir_stages.n; i++) {
        if (l->weir_stages.v[i].pid != w->pid)
            continue;
        stage(out, l, &l->weir_stages.v[i], between);
        between = ",";
    }
    between = "";
    stats_put(out, WR_LIT("],\"events\":["));
    for (uint32_t i = 0; i < l->weir_events.n; i++) {
        if (l->weir_events.v[i].pid != w->pid)
            continue;
        stats_put(out, wr_span_str(between));
        report_json_string(out, wr_span_str(facts_text(l, l->weir_events.v[i].line)));
        between = ",";
    }
    stats_put(out, WR_LIT("]}"));
}

void report_weir_json(struct stats_text *out, const struct doctor_case *c, const char *comma)
{
    const struct facts_look *l = c->books;
    for (uint32_t i = 0; i < l->weirs.n; i++) {
        if (!is_of(c, l->weirs.v[i].pid))
            continue;
        worker(out, l, &l->weirs.v[i], comma);
        comma = ",";
    }
}

static void pool(struct stats_text *out, const struct facts_look *l,
                 const struct facts_weir_pool *p, const char *comma)
{
    const char *between = "";
    stats_printf(out, "%s{\"pid\":%u,\"name\":", comma, p->pid);
    report_json_string(out, wr_span_str(facts_text(l, p->name)));
    stats_printf(out,
                 ",\"max_open\":%" PRIu64 ",\"open\":%" PRIu64 ",\"lent\":%" PRIu64
                 ",\"waiting\":%" PRIu64,
                 p->max_open, p->open, p->lent, p->waiting);
    known(out, "waited_ms", p->waited_ms);
    stats_put(out, WR_LIT(",\"borrowers\":["));
    for (uint32_t i = 0; i < l->weir_leases.n; i++) {
        const struct facts_weir_lease *e = &l->weir_leases.v[i];
        if (!is_lent_by(l, p, e))
            continue;
        stats_printf(out, "%s{\"lease\":%" PRIu64 ",\"held_ms\":%" PRIu64, between, e->lease,
                     e->held_ms);
        text(out, "where", l, e->where);
        stats_put(out, WR_LIT("}"));
        between = ",";
    }
    stats_put(out, WR_LIT("]}"));
}

bool report_pools_json(struct stats_text *out, const struct doctor_case *c, const char *comma)
{
    const struct facts_look *l = c->books;
    bool any = false;
    for (uint32_t i = 0; i < l->weir_pools.n; i++) {
        if (!is_of(c, l->weir_pools.v[i].pid))
            continue;
        pool(out, l, &l->weir_pools.v[i], any ? "," : comma);
        any = true;
    }
    return any;
}
