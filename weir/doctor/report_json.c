/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as one JSON object:
 *
 *   {"v":1,"looked_at":[first_ns,last_ns],"looks":2,
 *    "target":{"pid","name","listener","processes","threads"},
 *    "findings":[{"id","severity","sure","subject":{"pid","tid","comm","listener","peer"},
 *                 "evidence":[{"k","a","b","limit","src","threshold":{"name","value"}} or {"k","text","src"}],
 *                 "victims","oldest_ms","explains":[ids found],"text":{"title","what","why","now","fix","not"}}],
 *    "follows":[{"id","from"}],"lost":0,
 *    "unreadable":[{"what","why"}]}
 *
 * Keys are added, never renamed; ids and keys are those of rules.def and evidence.def. Members of a subject or an
 * evidence that say nothing are left out. Text is no API.
 */
#include "weir/doctor/plain.h"
#include "weir/doctor/report.h"
#include "weir/stats/text.h"

#include <inttypes.h>

/* UTF-8 stays; a byte that is none becomes U+FFFD, a control its escape. */
static void string(struct stats_text *out, struct wr_span s)
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
    string(out, wr_span_str(value));
}

static void target(struct stats_text *out, const struct doctor_case *c)
{
    stats_printf(out, "\"target\":{\"pid\":%d", (int)c->pid);
    member(out, ",", "name", c->name);
    member(out, ",", "listener", c->listener);
    stats_printf(out, ",\"processes\":%u,\"threads\":%u}", c->processes, c->threads);
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

static void filled(struct stats_text *out, const struct finding *f, const char *comma,
                   const char *key, const char *template)
{
    struct stats_text line = {.heap = out->heap};
    catalogue_fill(&line, template, f);
    stats_printf(out, "%s\"%s\":", comma, key);
    string(out, wr_span(line.p, line.n));
    out->failed |= line.failed;
    stats_text_free(&line);
}

static void text(struct stats_text *out, const struct finding *f, enum doctor_lang lang)
{
    const struct rule_text *t = catalogue_text(f->rule, lang);
    stats_put(out, WR_LIT(",\"text\":{"));
    member(out, "", "title", t->title);
    filled(out, f, ",", "what", t->sentence);
    filled(out, f, ",", "why", t->why);
    filled(out, f, ",", "now", t->now);
    filled(out, f, ",", "fix", t->fix);
    filled(out, f, ",", "not", t->not_it);
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

static void finding(struct stats_text *out, const struct findings *all, int which,
                    enum doctor_lang lang)
{
    const struct finding *f = &all->row[which];
    stats_printf(out, "{\"id\":\"%s\",\"severity\":\"%s\",\"sure\":\"%s\"",
                 rule_get(f->rule)->id, severity_word(f->severity),
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
    text(out, f, lang);
    stats_put(out, WR_LIT("}"));
}

static void follows(struct stats_text *out, const struct findings *f)
{
    stats_put(out, WR_LIT("],\"follows\":["));
    for (unsigned i = f->leading; i < f->n; i++) {
        const struct finding *x = &f->row[f->order[i]];
        stats_printf(out, "%s{\"id\":\"%s\",\"from\":\"%s\"}", i > f->leading ? "," : "",
                     rule_get(x->rule)->id, rule_get(f->row[x->cause].rule)->id);
    }
}

void doctor_json(struct stats_text *out, const struct doctor_case *c, enum doctor_lang lang)
{
    const struct findings *f = c->findings;
    uint64_t last = c->wall_ns + (uint64_t)c->span_ms * 1000000;
    stats_printf(out, "{\"v\":1,\"looked_at\":[%" PRIu64 ",%" PRIu64 "],\"looks\":%u,",
                 c->wall_ns, last, c->looks);
    target(out, c);
    stats_put(out, WR_LIT(",\"findings\":["));
    for (unsigned i = 0; i < f->leading; i++) {
        stats_put(out, wr_span_str(i ? "," : ""));
        finding(out, f, f->order[i], lang);
    }
    follows(out, f);
    stats_printf(out, "],\"lost\":%u,\"unreadable\":[", f->lost);
    for (unsigned i = 0; i < c->n_unreadable; i++) {
        member(out, i ? ",{" : "{", "what", c->unreadable[i].what);
        member(out, ",", "why", c->unreadable[i].why);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]}\n"));
}
