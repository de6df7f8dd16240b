/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the doctor says without looking at anything: --rules, --explain.
 */
#include "weir/doctor/command.h"
#include "weir/doctor/report/phrase.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/text.h"

#include <inttypes.h>

/* ---- words -------------------------------------------------------------------------------------------- */

struct need {
    unsigned bit;
    const char *text[LANG_COUNT];
};

static const struct need needs[] = {
    {SEE_DIAG,     WORDS(NEED_DIAG)    },
    {SEE_UDP,      WORDS(NEED_UDP)     },
    {SEE_UNIX,     WORDS(NEED_UNIX)    },
    {SEE_FDS,      WORDS(NEED_FDS)     },
    {SEE_EPOLL,    WORDS(NEED_EPOLL)   },
    {SEE_THREADS,  WORDS(NEED_THREADS) },
    {SEE_MEMORY,   WORDS(NEED_MEMORY)  },
    {SEE_COUNTERS, WORDS(NEED_COUNTERS)},
    {SEE_HOST,     WORDS(NEED_HOST)    },
};

/* ---- --rules ------------------------------------------------------------------------------------------ */
static void pad(struct stats_text *out, const char *text, unsigned columns)
{
    unsigned n = report_columns(wr_span_str(text));
    stats_put(out, wr_span_str(text));
    report_spaces(out, n < columns ? columns - n : 1);
}

void doctor_show_rules(struct stats_text *out, const struct doctor_options *o,
                       const struct doctor_style *s)
{
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        const struct rule *r = rule_get((enum rule_name)i);
        pad(out, r->id, 27);
        pad(out, word_severity(s->lang, r->severity), 10);
        pad(out, word_certainty(s->lang, r->certainty), 9);
        report_wrap(out, s, 46, wr_span_str(catalogue_text((enum rule_name)i, s->lang)->title));
    }
    if (!s->verbose)
        return;
    stats_put(out, WR_LIT("\n"));
    for (unsigned i = THRESHOLD_NONE + 1; i < THRESHOLD_COUNT; i++) {
        const struct threshold *t = threshold_get((enum threshold_name)i);
        pad(out, t->name, 27);
        stats_printf(out, "%9" PRIu64 "  ", o->limits.value[i]);
        struct stats_text what = {.heap = out->heap};
        phrase_put(&what, s->lang, t->what);
        report_wrap_text(out, s, 38, &what);
    }
}

/* ---- --explain ---------------------------------------------------------------------------------------- */
/* A template without a finding: {acceptq} becomes N, {syscall} becomes SYSCALL. */
static void fill_field(struct stats_text *out, struct wr_span name)
{
    for (unsigned i = 0; i < EVIDENCE_COUNT; i++) {
        const struct evidence_row *e = evidence_row((enum evidence_name)i);
        if (e->unit != UNIT_TEXT && wr_span_eq(name, wr_span_str(e->key))) {
            stats_put(out, WR_LIT("N"));
            return;
        }
    }
    if (wr_span_eq(name, WR_LIT("listener")) || wr_span_eq(name, WR_LIT("peer"))) {
        stats_put(out, WR_LIT("ADDRESS:PORT"));
        return;
    }
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] >= 'a' && name.p[i] <= 'z' ? (char)(name.p[i] - 32) : name.p[i];
        stats_put(out, wr_span(&c, 1));
    }
}

static void fill(struct stats_text *out, const char *template)
{
    struct wr_span rest = wr_span_str(template);
    for (ptrdiff_t open; (open = wr_span_find_char(rest, '{')) >= 0;) {
        struct wr_span behind = wr_span_sub(rest, (size_t)open + 1, rest.n);
        ptrdiff_t close = wr_span_find_char(behind, '}');
        if (close < 0)
            break;
        stats_put(out, wr_span_sub(rest, 0, (size_t)open));
        fill_field(out, wr_span_sub(behind, 0, (size_t)close));
        rest = wr_span_sub(behind, (size_t)close + 1, behind.n);
    }
    stats_put(out, rest);
}

static void paragraph(struct stats_text *out, const struct doctor_style *s, const char *label,
                      const char *template)
{
    struct stats_text t = {.heap = out->heap};
    if (!*template)
        return;
    fill(&t, template);
    report_label(out, s, label);
    report_wrap_text(out, s, REPORT_BODY, &t);
}

static void show_needs(struct stats_text *out, const struct rule *r,
                       const struct doctor_style *s)
{
    const char *label = WORD(s->lang, SHOW_NEEDS);
    for (size_t i = 0; i < WR_ARRAY_LEN(needs); i++) {
        if (!(r->see & needs[i].bit))
            continue;
        if (label)
            report_label(out, s, label);
        else
            report_spaces(out, REPORT_BODY);
        label = NULL;
        report_wrap(out, s, REPORT_BODY, wr_span_str(needs[i].text[s->lang]));
    }
}

static void show_explained(struct stats_text *out, const struct rule *r,
                           const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap};
    for (unsigned i = 0; i < r->n_explains; i++)
        stats_printf(&t, "%s%s", i ? ", " : "", rule_get((enum rule_name)r->explains[i])->id);
    if (r->n_explains == 0)
        stats_put(&t, wr_span_str(WORD(s->lang, SHOW_NOTHING)));
    report_label(out, s, WORD(s->lang, SHOW_EXPLAINS));
    report_wrap_text(out, s, REPORT_BODY, &t);
}

struct use {
    enum rule_name rule;
    enum threshold_name limit;
};

/* Which limits a rule asks. */
static const struct use uses[] = {
#define X(rule, limit) {RULE_##rule, THRESHOLD_##limit},
#include "weir/doctor/rules/rule_limits.def"
#undef X
};

static void show_limits(struct stats_text *out, enum rule_name rule,
                        const struct doctor_options *o, const struct doctor_style *s)
{
    const char *label = WORD(s->lang, SHOW_LIMITS);
    for (size_t i = 0; i < WR_ARRAY_LEN(uses); i++) {
        struct stats_text t = {.heap = out->heap};
        if (uses[i].rule != rule)
            continue;
        const struct threshold *limit = threshold_get(uses[i].limit);
        stats_printf(&t, "%s %" PRIu64 ": ", limit->name, o->limits.value[uses[i].limit]);
        phrase_put(&t, s->lang, limit->what);
        if (label)
            report_label(out, s, label);
        else
            report_spaces(out, REPORT_BODY);
        label = NULL;
        report_wrap_text(out, s, REPORT_BODY, &t);
    }
}

void doctor_show_rule(struct stats_text *out, enum rule_name rule,
                      const struct doctor_options *o, const struct doctor_style *s)
{
    const struct rule *r = rule_get(rule);
    const struct rule_text *t = catalogue_text(rule, s->lang);
    report_colour(out, s, "1");
    stats_put(out, wr_span_str(r->id));
    report_colour(out, s, "0");
    stats_put(out, WR_LIT("  "));
    stats_printf(out, WORD(s->lang, SHOW_AT_MOST), word_severity(s->lang, r->severity),
                 word_certainty(s->lang, r->certainty));
    stats_put(out, WR_LIT("\n  "));
    report_wrap(out, s, 2, wr_span_str(t->title));
    stats_put(out, WR_LIT("\n"));
    paragraph(out, s, WORD(s->lang, SHOW_WHAT), t->sentence);
    paragraph(out, s, WORD(s->lang, SHOW_WHY), t->why);
    paragraph(out, s, WORD(s->lang, SHOW_NOW), t->now);
    paragraph(out, s, WORD(s->lang, SHOW_FIX), t->fix);
    paragraph(out, s, WORD(s->lang, SHOW_NOT_IT), t->not_it);
    show_needs(out, r, s);
    show_explained(out, r, s);
    show_limits(out, rule, o, s);
}
