/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/report.h"

#include "weir/doctor/report/phrase.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/text.h"

#include <inttypes.h>

#define UNREADABLE_SHOWN 8
#define BRIEF_EVIDENCE   3

/* ---- one finding ---- */
static void put_values(struct stats_text *t, const struct evidence *e, enum doctor_lang lang)
{
    enum evidence_unit unit = evidence_row(e->name)->unit;
    if (unit == UNIT_TEXT) {
        phrase_put(t, lang, e->text);
        return;
    }
    if (e->a != e->b && unit != UNIT_NUMBER && unit != UNIT_HEX) {
        catalogue_value(t, lang, unit, e->a);
        stats_put(t, WR_LIT(" -> "));
    }
    catalogue_value(t, lang, unit, e->b);
    if (e->has_limit) {
        stats_printf(t, " %s ", WORD(lang, R_OF));
        catalogue_value(t, lang, unit, e->limit);
    }
    if (e->a == e->b && e->b > 0 && unit == UNIT_COUNT)
        stats_printf(t, " %s", WORD(lang, R_BOTH));
}

static void put_line(struct stats_text *t, const struct evidence *e,
                     const struct doctor_style *s)
{
    const struct evidence_row *row = evidence_row(e->name);
    stats_printf(t, WORD(s->lang, R_LINE), row->label[s->lang]);
    put_values(t, e, s->lang);
    if (e->over != THRESHOLD_NONE)
        stats_printf(t, WORD(s->lang, R_CROSSED), WORD(s->lang, R_THRESHOLD),
                     threshold_get(e->over)->name, e->threshold);
    if (s->verbose)
        stats_printf(t, " [%s]", row->src);
}

/* None of something, at both looks. */
static bool says_nothing(const struct evidence *e)
{
    return evidence_row(e->name)->unit == UNIT_COUNT && e->a == 0 && e->b == 0 &&
           !e->has_limit && e->over == THRESHOLD_NONE;
}

static void tell_evidence(struct stats_text *out, const struct finding *f,
                          const struct doctor_style *s)
{
    bool first = true;
    for (unsigned i = 0; i < f->n_evidence; i++) {
        struct stats_text line = {.heap = out->heap};
        if ((says_nothing(&f->evidence[i]) && !s->verbose) || (s->brief && i >= BRIEF_EVIDENCE))
            continue;
        put_line(&line, &f->evidence[i], s);
        if (first)
            report_label(out, s, WORD(s->lang, R_EVIDENCE));
        else
            report_spaces(out, REPORT_BODY);
        first = false;
        report_wrap_text(out, s, REPORT_BODY, &line);
    }
}

static void tell_text(struct stats_text *out, const struct finding *f,
                      const struct doctor_style *s, const char *word, const char *template)
{
    if (!*template)
        return;
    struct stats_text line = {.heap = out->heap};
    catalogue_fill(&line, s->lang, template, f);
    unsigned column = word ? REPORT_BODY : 2;
    if (word)
        report_label(out, s, word);
    else
        report_spaces(out, column);
    report_wrap_text(out, s, column, &line);
}

static void tell_title(struct stats_text *out, const struct finding *f,
                       const struct doctor_style *s)
{
    static const char *const colours[] = {"36", "1;33", "1;31"};
    const struct rule_text *t = catalogue_text(f->rule, s->lang);
    const char *severity = word_severity_loud(s->lang, f->severity),
               *certainty = word_certainty(s->lang, f->certainty);
    stats_put(out, WR_LIT("\n"));
    report_colour(out, s, colours[f->severity]);
    stats_put(out, wr_span_str(severity));
    report_colour(out, s, "0");
    unsigned used = report_columns(wr_span_str(severity));
    report_spaces(out, used < REPORT_LABEL ? REPORT_LABEL - used : 1);
    used = REPORT_LABEL + report_columns(wr_span_str(t->title)) +
           report_columns(wr_span_str(certainty));
    if (used + 2 > s->width) {
        report_wrap(out, s, REPORT_LABEL, wr_span_str(t->title));
        report_spaces(out, REPORT_LABEL);
        stats_printf(out, "(%s)\n", certainty);
        return;
    }
    stats_put(out, wr_span_str(t->title));
    report_spaces(out, s->width - used);
    stats_printf(out, "%s\n", certainty);
}

static void tell_follows(struct stats_text *out, const struct doctor_case *c,
                         const struct doctor_style *s, int cause)
{
    const struct findings *f = c->findings;
    for (unsigned i = f->leading; s->verbose && i < f->n; i++) {
        const struct finding *x = &f->row[f->order[i]];
        if (x->cause == cause)
            stats_printf(out, "  %s: %s (%s)\n", WORD(s->lang, R_FOLLOWS),
                         catalogue_text(x->rule, s->lang)->title, rule_get(x->rule)->id);
    }
}

void report_finding(struct stats_text *out, const struct doctor_case *c,
                    const struct doctor_style *s, unsigned which)
{
    const struct finding *f = &c->findings->row[which];
    const struct rule_text *t = catalogue_text(f->rule, s->lang);
    tell_title(out, f, s);
    tell_text(out, f, s, NULL, t->sentence);
    tell_evidence(out, f, s);
    if (!s->brief)
        tell_text(out, f, s, WORD(s->lang, R_WHY), t->why);
    tell_text(out, f, s, WORD(s->lang, R_NOW), t->now);
    tell_text(out, f, s, WORD(s->lang, R_FIX), t->fix);
    if (!s->brief)
        tell_text(out, f, s, WORD(s->lang, R_NOT_IT), t->not_it);
    tell_follows(out, c, s, (int)which);
}

/* ---- heads ------------------------------------------------------------------------------------------- */
static void put_count(struct stats_text *t, unsigned n, const char *one, const char *many)
{
    stats_printf(t, "%u %s", n, n == 1 ? one : many);
}

static void put_looked(struct stats_text *t, enum doctor_lang lang,
                       const struct doctor_report *r)
{
    stats_printf(t, WORD(lang, R_LOOKED), r->looks, r->span_ms / 1000, r->span_ms / 100 % 10);
    if (r->slow_ms)
        stats_printf(t, WORD(lang, R_SLOW), r->slow_ms / 1000, r->slow_ms / 100 % 10);
}

/* "pid 811 nginx  :8080": who it is. */
static void put_who(struct stats_text *t, const struct doctor_case *c)
{
    if (c->pid > 0)
        stats_printf(t, "pid %d ", (int)c->pid);
    plain_put(t, wr_span_str(c->name));
    if (*c->listener && strcmp(c->listener, c->name) != 0) {
        stats_put(t, WR_LIT("  "));
        plain_put(t, wr_span_str(c->listener));
    }
}

static void put_size(struct stats_text *t, const struct doctor_case *c, enum doctor_lang lang)
{
    if (c->processes == 0) {
        stats_put(t, wr_span_str(WORD(lang, R_HIDDEN)));
        return;
    }
    put_count(t, c->processes, WORD(lang, R_PROCESS), WORD(lang, R_PROCESSES));
    stats_put(t, wr_span_str(WORD(lang, R_COMMA)));
    put_count(t, c->threads, WORD(lang, R_THREAD), WORD(lang, R_THREADS));
}

static void tell_head(struct stats_text *out, const struct doctor_report *r,
                      const struct doctor_case *c, const struct doctor_style *s)
{
    struct stats_text who = {.heap = out->heap}, size = {.heap = out->heap};
    if (r->host) {
        stats_put(&who, WR_LIT("weir doctor  "));
        plain_put(&who, wr_span_str(r->host));
        stats_printf(&size, WORD(s->lang, R_HOST), r->n_cases,
                     r->n_cases == 1 || s->lang != LANG_EN ? "" : "s", r->sockets);
    } else {
        stats_put(&who, c->behind ? WR_LIT("") : WR_LIT("weir doctor  "));
        put_who(&who, c);
        if (c->behind) {
            stats_printf(&who, WORD(s->lang, R_LED_HERE), WORD(s->lang, R_BEHIND));
            plain_put(&who, wr_span_str(c->behind));
            stats_put(&who, wr_span_str(WORD(s->lang, R_LED_END)));
        }
        put_size(&size, c, s->lang);
    }
    stats_put(&size, wr_span_str(WORD(s->lang, R_SEMICOLON)));
    put_looked(&size, s->lang, r);
    if (r->host)
        stats_printf(&size, "%s%s", WORD(s->lang, R_SEMICOLON), WORD(s->lang, R_UNTOUCHED));
    report_colour(out, s, "1");
    report_wrap_text(out, s, 2, &who);
    report_colour(out, s, "0");
    report_spaces(out, 2);
    report_wrap_text(out, s, 2, &size);
}

/* ---- what could not be read --------------------------------------------------------------------------- */
static void tell_one_unreadable(struct stats_text *out, const struct unreadable *u,
                                const struct doctor_style *s)
{
    struct stats_text line = {.heap = out->heap};
    phrase_put(&line, s->lang, u->what);
    stats_put(&line, wr_span_str(WORD(s->lang, R_COLON)));
    phrase_put(&line, s->lang, u->why);
    report_spaces(out, 2);
    report_wrap_text(out, s, 4, &line);
}

static void tell_unreadable(struct stats_text *out, const struct doctor_report *r,
                            const struct doctor_style *s)
{
    unsigned n = 0;
    for (unsigned k = 0; k < r->n_cases; k++) {
        const struct doctor_case *c = &r->cases[k];
        for (unsigned i = 0; i < c->n_unreadable; i++) {
            if (c->unreadable[i].minor && !s->verbose)
                continue;
            if (n++ == 0) {
                stats_put(out, WR_LIT("\n"));
                stats_printf(out, WORD(s->lang, R_UNREADABLE), r->uid);
                stats_put(out, WR_LIT("\n"));
            }
            if (n <= UNREADABLE_SHOWN || s->verbose)
                tell_one_unreadable(out, &c->unreadable[i], s);
        }
    }
    if (n > UNREADABLE_SHOWN && !s->verbose) {
        report_spaces(out, 2);
        stats_printf(out, WORD(s->lang, R_MORE), n - UNREADABLE_SHOWN);
        stats_put(out, WR_LIT("\n"));
    }
}

/* ---- cases ------------------------------------------------------------------------------------------- */
static bool shown(const struct finding *f, const struct doctor_report *r,
                  const struct doctor_style *s)
{
    return s->verbose || !r->host || f->severity > SEVERITY_INFO;
}

static unsigned count_shown(const struct doctor_case *c, const struct doctor_report *r,
                            const struct doctor_style *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->findings->leading; i++)
        n += shown(&c->findings->row[c->findings->order[i]], r, s);
    return n;
}

static void put_ok(struct stats_text *out, const struct doctor_style *s)
{
    stats_put(out, WR_LIT("\n"));
    report_colour(out, s, "32");
    stats_put(out, WR_LIT("OK"));
    report_colour(out, s, "0");
    report_spaces(out, REPORT_LABEL - 2);
}

static void tell_nothing(struct stats_text *out, const struct doctor_report *r,
                         const struct doctor_style *s)
{
    if (r->exit != 4)
        put_ok(out, s);
    else
        stats_put(out, WR_LIT("\nUNDECIDED "));
    report_wrap(
        out, s, REPORT_LABEL,
        wr_span_str(r->exit == 4 ? WORD(s->lang, R_UNDECIDED) : WORD(s->lang, R_NOTHING)));
}

static void tell_case(struct stats_text *out, const struct doctor_report *r,
                      const struct doctor_case *c, const struct doctor_style *s)
{
    const struct findings *f = c->findings;
    struct doctor_style style = *s;
    style.brief = r->host && !s->verbose;
    if (r->host && count_shown(c, r, s) > 0) {
        struct stats_text who = {.heap = out->heap};
        put_who(&who, c);
        if (!c->machine) {
            stats_put(&who, WR_LIT("  ("));
            put_size(&who, c, s->lang);
            stats_put(&who, WR_LIT(")"));
        }
        stats_put(out, WR_LIT("\n"));
        report_colour(out, s, "1");
        report_wrap_text(out, s, 2, &who);
        report_colour(out, s, "0");
    }
    for (unsigned i = 0; i < f->leading; i++)
        if (shown(&f->row[f->order[i]], r, s))
            report_finding(out, c, &style, f->order[i]);
    if (f->lost > 0) {
        stats_put(out, WR_LIT("\n"));
        stats_printf(out, WORD(s->lang, R_LOST), f->lost);
        stats_put(out, WR_LIT("\n"));
    }
    if (!r->host && f->leading == 0)
        tell_nothing(out, r, s);
    if (c->books && (!r->host || count_shown(c, r, s) > 0))
        report_weir(out, c, s);
}

static bool is_well(const struct doctor_report *r, unsigned i, const struct doctor_style *s)
{
    const struct doctor_case *c = &r->cases[i];
    bool quiet = count_shown(c, r, s) == 0 && c->processes > 0 && !c->machine;
    return quiet && (r->host || !c->books);
}

/* How many well ones have this one's name; 0: one before it has it. */
static unsigned namesakes(const struct doctor_report *r, unsigned i,
                          const struct doctor_style *s)
{
    unsigned n = 0;
    for (unsigned k = 0; k < r->n_cases; k++) {
        bool same = is_well(r, k, s) && strcmp(r->cases[k].name, r->cases[i].name) == 0;
        if (same && k < i)
            return 0;
        n += same;
    }
    return n;
}

/* Those of whom there is nothing to say, in one line. */
static void tell_well(struct stats_text *out, const struct doctor_report *r,
                      const struct doctor_style *s)
{
    struct stats_text line = {.heap = out->heap};
    unsigned n = 0, notes = 0;
    for (unsigned i = 0; i < r->n_cases; i++) {
        const struct doctor_case *c = &r->cases[i];
        if (!is_well(r, i, s))
            continue;
        notes += c->findings->leading;
        unsigned same = namesakes(r, i, s);
        if (same == 0)
            continue;
        stats_put(&line, n++ ? WR_LIT(", ") : WR_LIT(""));
        plain_put(&line, wr_span_str(c->name));
        if (same > 1)
            stats_printf(&line, " (%u)", same);
    }
    if (notes > 0) {
        stats_put(&line, WR_LIT("  ("));
        stats_printf(&line, WORD(s->lang, R_NOTES), notes);
        stats_put(&line, WR_LIT(")"));
    }
    if (n > 0) {
        put_ok(out, s);
        report_wrap_text(out, s, REPORT_LABEL, &line);
    }
    stats_text_free(&line);
}

void report_tell(struct stats_text *out, const struct doctor_report *r,
                 const struct doctor_style *s)
{
    bool several = r->n_cases > 1 && r->exit != 4;
    unsigned told = 0;
    if (r->host)
        tell_head(out, r, NULL, s);
    for (unsigned i = 0; i < r->n_cases; i++) {
        const struct doctor_case *c = &r->cases[i];
        if (several && is_well(r, i, s))
            continue;
        if (!r->host) {
            stats_put(out, told++ ? WR_LIT("\n") : WR_LIT(""));
            tell_head(out, r, c, s);
        }
        tell_case(out, r, c, s);
    }
    if (!r->host && several && told == 0) {
        struct stats_text line = {.heap = out->heap};
        stats_put(&line, WR_LIT("weir doctor  "));
        put_looked(&line, s->lang, r);
        report_wrap_text(out, s, 2, &line);
    }
    if (r->host || several)
        tell_well(out, r, s);
    if (r->load)
        report_load(out, r->load, s);
    tell_unreadable(out, r, s);
}

void report_brief(struct stats_text *out, const struct doctor_report *r,
                  const struct doctor_style *s, enum severity least)
{
    for (unsigned k = 0; k < r->n_cases; k++) {
        const struct findings *f = r->cases[k].findings;
        for (unsigned i = 0; i < f->leading; i++) {
            const struct finding *x = &f->row[f->order[i]];
            if (x->severity < least)
                continue;
            stats_printf(out, "%s  ", word_severity_loud(s->lang, x->severity));
            put_who(out, &r->cases[k]);
            stats_printf(out, "  %s: ", rule_get(x->rule)->id);
            catalogue_fill(out, s->lang, catalogue_text(x->rule, s->lang)->sentence, x);
            stats_put(out, WR_LIT("\n"));
        }
    }
}
