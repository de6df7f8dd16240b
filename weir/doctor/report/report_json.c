/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as one JSON object in one line:
 *
 *   {"v":1,"looked_at":[first_ns,last_ns],"looks":2,"exit":2,"host":null or "NAME","sockets":812,"slow_look_ms":0,
 *    "target":{"pid","name","listener","processes","threads"},   the first of
 *    "targets":[... "behind","ok"],
 *    "findings":[{"target":0,"id","severity","sure","subject":{"pid","tid","comm","listener","peer"},
 *                 "evidence":[{"k","a","b","limit","src","threshold":{"name","value"}} or {"k","text","src"}],
 *                 "victims","oldest_ms","explains":[ids found],
 *                 "treat":{"id","pid"},"text":{"title","what","why","now","fix","not"}}],
 *    "follows":[{"target","id","from"}],"lost":0,
 *    "weir":[...],"pools":[...],"while":{...},                                   report_weir.c, report_load.c
 *    "unreadable":[{"target","what","why"}]}
 *
 * Keys are added, never renamed; ids and keys are those of rules.def and evidence.def. Members of a subject or an
 * evidence that say nothing are left out. Text is no API.
 */
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/stats/text.h"

#include <inttypes.h>

void report_json_string(struct stats_text *out, struct wr_span s)
{
    stats_put(out, WR_LIT("\""));
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        int32_t c = plain_next(s, &at);
        if (c == '"' || c == '\\')
            stats_printf(out, "\\%c", (char)c);
        else if (c < 0)
            stats_put(out, WR_LIT("\\ufffd"));
        else if (c <= 0xffff && !plain_printable(c))
            stats_printf(out, "\\u%04x", (unsigned)c);
        else
            stats_put(out, wr_span(s.p + from, at - from));
    }
    stats_put(out, WR_LIT("\""));
}

static void member(struct stats_text *out, const char *comma, const char *key,
                   const char *value)
{
    stats_printf(out, "%s\"%s\":", comma, key);
    report_json_string(out, wr_span_str(value));
}

static void target(struct stats_text *out, const struct doctor_case *c)
{
    stats_printf(out, "{\"pid\":%d", (int)c->pid);
    member(out, ",", "name", c->name);
    member(out, ",", "listener", c->listener);
    stats_printf(out, ",\"processes\":%u,\"threads\":%u", c->processes, c->threads);
    if (c->behind)
        member(out, ",", "behind", c->behind);
    stats_put(out, WR_LIT("}"));
}

static void subject(struct stats_text *out, const struct subject *s)
{
    stats_printf(out, ",\"subject\":{\"pid\":%d", (int)s->pid);
    if (s->tid > 0)
        stats_printf(out, ",\"tid\":%d", (int)s->tid);
    if (*s->comm)
        member(out, ",", "comm", s->comm);
    if (*s->listener)
        member(out, ",", "listener", s->listener);
    if (*s->peer)
        member(out, ",", "peer", s->peer);
    stats_put(out, WR_LIT("}"));
}

static void evidence(struct stats_text *out, const struct evidence *e)
{
    const struct evidence_row *row = evidence_row(e->name);
    stats_printf(out, "{\"k\":\"%s\"", row->key);
    if (row->unit == UNIT_TEXT)
        member(out, ",", "text", e->text);
    else
        stats_printf(out, ",\"a\":%" PRIu64 ",\"b\":%" PRIu64, e->a, e->b);
    if (e->has_limit)
        stats_printf(out, ",\"limit\":%" PRIu64, e->limit);
    member(out, ",", "src", row->src);
    if (e->over != THRESHOLD_NONE)
        stats_printf(out, ",\"threshold\":{\"name\":\"%s\",\"value\":%" PRIu64 "}",
                     threshold_get(e->over)->name, e->threshold);
    stats_put(out, WR_LIT("}"));
}

static void filled(struct stats_text *out, enum doctor_lang lang, const struct finding *f,
                   const char *comma, const char *key, const char *template)
{
    struct stats_text line = {.heap = out->heap};
    catalogue_fill(&line, lang, template, f);
    stats_printf(out, "%s\"%s\":", comma, key);
    report_json_string(out, wr_span(line.p, line.n));
    out->failed |= line.failed;
    stats_text_free(&line);
}

static void text(struct stats_text *out, const struct finding *f, enum doctor_lang lang)
{
    const struct rule_text *t = catalogue_text(f->rule, lang);
    stats_put(out, WR_LIT(",\"text\":{"));
    member(out, "", "title", t->title);
    filled(out, lang, f, ",", "what", t->sentence);
    filled(out, lang, f, ",", "why", t->why);
    filled(out, lang, f, ",", "now", t->now);
    filled(out, lang, f, ",", "fix", t->fix);
    filled(out, lang, f, ",", "not", t->not_it);
    stats_put(out, WR_LIT("}"));
}

static void explains(struct stats_text *out, const struct findings *f, int cause)
{
    const char *comma = "";
    stats_put(out, WR_LIT(",\"explains\":["));
    for (unsigned i = f->leading; i < f->n; i++) {
        const struct finding *x = &f->row[f->order[i]];
        if (x->cause != cause)
            continue;
        stats_printf(out, "%s\"%s\"", comma, rule_get(x->rule)->id);
        comma = ",";
    }
    stats_put(out, WR_LIT("]"));
}

static void treatment(struct stats_text *out, const struct finding *f)
{
    if (rule_is_treated(f->rule) && f->subject.pid > 0)
        stats_printf(out, ",\"treat\":{\"id\":\"%s\",\"pid\":%d}", rule_get(f->rule)->id,
                     (int)f->subject.pid);
}

static void finding(struct stats_text *out, const struct findings *all, unsigned target,
                    int which, enum doctor_lang lang)
{
    const struct finding *f = &all->row[which];
    stats_printf(out, "{\"target\":%u,\"id\":\"%s\",\"severity\":\"%s\",\"sure\":\"%s\"",
                 target, rule_get(f->rule)->id, severity_word(f->severity),
                 certainty_word(f->certainty));
    subject(out, &f->subject);
    stats_put(out, WR_LIT(",\"evidence\":["));
    for (unsigned i = 0; i < f->n_evidence; i++) {
        stats_put(out, wr_span_str(i ? "," : ""));
        evidence(out, &f->evidence[i]);
    }
    stats_printf(out, "],\"victims\":%" PRIu64 ",\"oldest_ms\":%" PRIu64, f->victims,
                 f->oldest_ms);
    explains(out, all, which);
    treatment(out, f);
    text(out, f, lang);
    stats_put(out, WR_LIT("}"));
}

/* ---- the lists: each runs over all cases ----------------------------------------------------------------- */
static const char *comma(bool *io_any)
{
    const char *c = *io_any ? "," : "";
    *io_any = true;
    return c;
}

static void targets(struct stats_text *out, const struct doctor_report *r)
{
    stats_put(out, WR_LIT(",\"targets\":["));
    for (unsigned k = 0; k < r->n_cases; k++) {
        stats_put(out, k ? WR_LIT(",") : WR_LIT(""));
        target(out, &r->cases[k]);
    }
    stats_put(out, WR_LIT("]"));
}

static void findings(struct stats_text *out, const struct doctor_report *r,
                     enum doctor_lang lang)
{
    bool any = false;
    stats_put(out, WR_LIT(",\"findings\":["));
    for (unsigned k = 0; k < r->n_cases; k++) {
        const struct findings *f = r->cases[k].findings;
        for (unsigned i = 0; i < f->leading; i++) {
            stats_put(out, wr_span_str(comma(&any)));
            finding(out, f, k, f->order[i], lang);
        }
    }
    stats_put(out, WR_LIT("]"));
}

static void follows(struct stats_text *out, const struct doctor_report *r)
{
    bool any = false;
    unsigned lost = 0;
    stats_put(out, WR_LIT(",\"follows\":["));
    for (unsigned k = 0; k < r->n_cases; k++) {
        const struct findings *f = r->cases[k].findings;
        lost += f->lost;
        for (unsigned i = f->leading; i < f->n; i++) {
            const struct finding *x = &f->row[f->order[i]];
            stats_printf(out, "%s{\"target\":%u,\"id\":\"%s\",\"from\":\"%s\"}", comma(&any), k,
                         rule_get(x->rule)->id, rule_get(f->row[x->cause].rule)->id);
        }
    }
    stats_printf(out, "],\"lost\":%u", lost);
}

static void books(struct stats_text *out, const struct doctor_report *r)
{
    bool any = false;
    for (unsigned k = 0; k < r->n_cases; k++)
        any |= r->cases[k].books != NULL;
    if (!any)
        return;
    any = false;
    stats_put(out, WR_LIT(",\"weir\":["));
    for (unsigned k = 0; k < r->n_cases; k++)
        if (r->cases[k].books)
            report_weir_json(out, &r->cases[k], comma(&any));
    stats_put(out, WR_LIT("],\"pools\":["));
    any = false;
    for (unsigned k = 0; k < r->n_cases; k++)
        if (r->cases[k].books)
            any |= report_pools_json(out, &r->cases[k], any ? "," : "");
    stats_put(out, WR_LIT("]"));
}

static void unread(struct stats_text *out, const struct doctor_report *r)
{
    bool any = false;
    stats_put(out, WR_LIT(",\"unreadable\":["));
    for (unsigned k = 0; k < r->n_cases; k++) {
        const struct doctor_case *c = &r->cases[k];
        for (unsigned i = 0; i < c->n_unreadable; i++) {
            stats_printf(out, "%s{\"target\":%u", comma(&any), k);
            member(out, ",", "what", c->unreadable[i].what);
            member(out, ",", "why", c->unreadable[i].why);
            stats_put(out, WR_LIT("}"));
        }
    }
    stats_put(out, WR_LIT("]"));
}

void report_json(struct stats_text *out, const struct doctor_report *r, enum doctor_lang lang)
{
    uint64_t last = r->wall_ns + (uint64_t)r->span_ms * 1000000;
    stats_printf(out,
                 "{\"v\":1,\"looked_at\":[%" PRIu64 ",%" PRIu64 "],\"looks\":%u,\"exit\":%d",
                 r->wall_ns, last, r->looks, r->exit);
    if (r->host)
        member(out, ",", "host", r->host);
    else
        stats_put(out, WR_LIT(",\"host\":null"));
    stats_printf(out, ",\"sockets\":%u,\"slow_look_ms\":%u,\"target\":", r->sockets,
                 r->slow_ms);
    if (r->n_cases > 0)
        target(out, &r->cases[0]);
    else
        stats_put(out, WR_LIT("null"));
    targets(out, r);
    findings(out, r, lang);
    follows(out, r);
    books(out, r);
    if (r->load)
        report_load_json(out, r->load);
    unread(out, r);
    stats_put(out, WR_LIT("}\n"));
}
