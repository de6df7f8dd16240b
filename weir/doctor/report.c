/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report.h"

#include "weir/doctor/plain.h"
#include "weir/stats/text.h"

#include <inttypes.h>

#define LABEL_COLUMNS 10 /* of "Evidence", behind an indent of two */
#define BODY          (2 + LABEL_COLUMNS)
#define LEAST_WIDTH   40

struct words {
    const char *severity[3], *certainty[3];
    const char *evidence, *why, *now, *fix, *not_it, *follows;
    const char *both, *of, *threshold, *nothing, *unreadable, *lost;
    const char *head; /* processes, threads, looks, seconds, tenths */
};

static const struct words words[LANG_COUNT] = {
    [LANG_EN] = {{"INFO", "WARNING", "CRITICAL"},
                 {"hint", "likely", "certain"},
                 "Evidence", "Why",
                 "Now",    "Fix",
                 "Not it", "also follows from it",
                 "at both looks",      "of",
                 "found from", "no finding",
                 "could not read, as uid %u; as root the answer may be more certain:",     "more findings than fit: %u not shown",
                 "processes %u, threads %u, looked %u times in %u.%u s"     },
    [LANG_ZH] = {{"提示", "警告", "严重"},
                 {"线索", "很可能", "确定"},
                 "证据",   "原因",
                 "现在", "根治",
                 "并非", "由此引起的还有",
                 "两次观察相同", "/",
                 "阈值",     "没有发现问题",
                 "以 uid %u 无法读取以下内容,以 root 运行结论会更确定:", "结果太多,未显示 %u 条",
                 "进程 %u 个,线程 %u 个,%u 次观察,历时 %u.%u 秒"},
};

static unsigned columns_of(struct wr_span s)
{
    unsigned n = 0;
    for (size_t at = 0; at < s.n;)
        n += plain_columns(plain_next(s, &at));
    return n;
}

static void spaces(struct stats_text *out, unsigned n)
{
    stats_printf(out, "%*s", (int)n, "");
}

/* The piece that must stay together: a word with the space before it, or one wide character and what closes it. */
static size_t piece_end(struct wr_span s, size_t from)
{
    size_t at = from;
    bool wide = plain_columns(plain_next(s, &at)) == 2;
    for (size_t next = at; next < s.n; at = next) {
        int32_t c = plain_next(s, &next);
        if (c == ' ' || (!plain_closes(c) && (wide || plain_columns(c) == 2)))
            break;
    }
    return at;
}

/* Text from a column on, broken so that it stays below the width; ends its line. */
static void wrap(struct stats_text *out, const struct doctor_style *s, unsigned column,
                 struct wr_span text)
{
    unsigned width = s->width < LEAST_WIDTH ? LEAST_WIDTH : s->width;
    unsigned at = column;
    for (size_t from = 0; from < text.n;) {
        size_t end = piece_end(text, from);
        struct wr_span piece = wr_span_sub(text, from, end - from);
        if (at > column && at + columns_of(piece) > width) {
            stats_put(out, WR_LIT("\n"));
            spaces(out, column);
            at = column;
            if (piece.p[0] == ' ')
                piece = wr_span_sub(piece, 1, piece.n - 1);
        }
        stats_put(out, piece);
        at += columns_of(piece);
        from = end;
    }
    stats_put(out, WR_LIT("\n"));
}

static void colour(struct stats_text *out, const struct doctor_style *s, const char *code)
{
    if (s->colour)
        stats_printf(out, "\033[%sm", code);
}

static void label(struct stats_text *out, const struct doctor_style *s, const char *word)
{
    spaces(out, 2);
    colour(out, s, "1");
    stats_put(out, wr_span_str(word));
    colour(out, s, "0");
    unsigned n = columns_of(wr_span_str(word));
    spaces(out, n < LABEL_COLUMNS ? LABEL_COLUMNS - n : 1);
}

static void put_values(struct stats_text *t, const struct evidence *e, const struct words *w)
{
    enum evidence_unit unit = evidence_row(e->name)->unit;
    if (unit == UNIT_TEXT) {
        plain_put(t, wr_span_str(e->text));
        return;
    }
    if (e->a != e->b && unit != UNIT_NUMBER && unit != UNIT_HEX) {
        catalogue_value(t, unit, e->a);
        stats_put(t, WR_LIT(" -> "));
    }
    catalogue_value(t, unit, e->b);
    if (e->has_limit) {
        stats_printf(t, " %s ", w->of);
        catalogue_value(t, unit, e->limit);
    }
    if (e->a == e->b && unit == UNIT_COUNT)
        stats_printf(t, " %s", w->both);
}

static void put_line(struct stats_text *t, const struct evidence *e,
                     const struct doctor_style *s)
{
    const struct evidence_row *row = evidence_row(e->name);
    const struct words *w = &words[s->lang];
    stats_printf(t, "%s: ", row->label[s->lang]);
    put_values(t, e, w);
    if (e->over != THRESHOLD_NONE)
        stats_printf(t, " (%s %s %" PRIu64 ")", w->threshold, threshold_get(e->over)->name,
                     e->threshold);
    if (s->verbose)
        stats_printf(t, " [%s]", row->src);
}

static void tell_evidence(struct stats_text *out, const struct finding *f,
                          const struct doctor_style *s)
{
    for (unsigned i = 0; i < f->n_evidence; i++) {
        struct stats_text line = {.heap = out->heap};
        put_line(&line, &f->evidence[i], s);
        if (i == 0)
            label(out, s, words[s->lang].evidence);
        else
            spaces(out, BODY);
        wrap(out, s, BODY, wr_span(line.p, line.n));
        out->failed |= line.failed;
        stats_text_free(&line);
    }
}

static void tell_text(struct stats_text *out, const struct finding *f,
                      const struct doctor_style *s, const char *word, const char *template)
{
    if (!*template)
        return;
    struct stats_text line = {.heap = out->heap};
    catalogue_fill(&line, template, f);
    unsigned column = word ? BODY : 2;
    if (word)
        label(out, s, word);
    else
        spaces(out, column);
    wrap(out, s, column, wr_span(line.p, line.n));
    out->failed |= line.failed;
    stats_text_free(&line);
}

static void tell_title(struct stats_text *out, const struct finding *f,
                       const struct doctor_style *s)
{
    static const char *const colours[] = {"36", "1;33", "1;31"};
    const struct words *w = &words[s->lang];
    const struct rule_text *t = catalogue_text(f->rule, s->lang);
    const char *severity = w->severity[f->severity], *certainty = w->certainty[f->certainty];
    stats_put(out, WR_LIT("\n"));
    colour(out, s, colours[f->severity]);
    stats_put(out, wr_span_str(severity));
    colour(out, s, "0");
    unsigned used = columns_of(wr_span_str(severity));
    spaces(out, used < LABEL_COLUMNS ? LABEL_COLUMNS - used : 1);
    stats_put(out, wr_span_str(t->title));
    used =
        LABEL_COLUMNS + columns_of(wr_span_str(t->title)) + columns_of(wr_span_str(certainty));
    spaces(out, used + 2 <= s->width ? s->width - used : 2);
    stats_printf(out, "%s\n", certainty);
}

static void tell_follows(struct stats_text *out, const struct doctor_case *c,
                         const struct doctor_style *s, int cause)
{
    const struct findings *f = c->findings;
    for (unsigned i = f->leading; s->verbose && i < f->n; i++) {
        const struct finding *x = &f->row[f->order[i]];
        if (x->cause == cause)
            stats_printf(out, "  %s: %s (%s)\n", words[s->lang].follows,
                         catalogue_text(x->rule, s->lang)->title, rule_get(x->rule)->id);
    }
}

static void tell_finding(struct stats_text *out, const struct doctor_case *c,
                         const struct doctor_style *s, int which)
{
    const struct finding *f = &c->findings->row[which];
    const struct rule_text *t = catalogue_text(f->rule, s->lang);
    const struct words *w = &words[s->lang];
    tell_title(out, f, s);
    tell_text(out, f, s, NULL, t->sentence);
    tell_evidence(out, f, s);
    tell_text(out, f, s, w->why, t->why);
    tell_text(out, f, s, w->now, t->now);
    tell_text(out, f, s, w->fix, t->fix);
    tell_text(out, f, s, w->not_it, t->not_it);
    tell_follows(out, c, s, which);
}

static void tell_head(struct stats_text *out, const struct doctor_case *c,
                      const struct doctor_style *s)
{
    stats_put(out, WR_LIT("weir doctor  "));
    if (c->pid > 0)
        stats_printf(out, "pid %d ", (int)c->pid);
    plain_put(out, wr_span_str(c->name));
    if (*c->listener) {
        stats_put(out, WR_LIT("  "));
        plain_put(out, wr_span_str(c->listener));
    }
    struct stats_text line = {.heap = out->heap};
    stats_printf(&line, words[s->lang].head, c->processes, c->threads, c->looks,
                 c->span_ms / 1000, c->span_ms / 100 % 10);
    stats_put(out, WR_LIT("\n  "));
    wrap(out, s, 2, wr_span(line.p, line.n));
    out->failed |= line.failed;
    stats_text_free(&line);
}

static void tell_unreadable(struct stats_text *out, const struct doctor_case *c,
                            const struct doctor_style *s)
{
    if (c->n_unreadable == 0)
        return;
    stats_put(out, WR_LIT("\n"));
    stats_printf(out, words[s->lang].unreadable, c->uid);
    stats_put(out, WR_LIT("\n"));
    for (unsigned i = 0; i < c->n_unreadable; i++) {
        spaces(out, 2);
        plain_put(out, wr_span_str(c->unreadable[i].what));
        stats_put(out, WR_LIT(": "));
        plain_put(out, wr_span_str(c->unreadable[i].why));
        stats_put(out, WR_LIT("\n"));
    }
}

void doctor_tell(struct stats_text *out, const struct doctor_case *c,
                 const struct doctor_style *s)
{
    const struct findings *f = c->findings;
    tell_head(out, c, s);
    for (unsigned i = 0; i < f->leading; i++)
        tell_finding(out, c, s, f->order[i]);
    if (f->leading == 0)
        stats_printf(out, "\nOK        %s\n", words[s->lang].nothing);
    if (f->lost > 0) {
        stats_put(out, WR_LIT("\n"));
        stats_printf(out, words[s->lang].lost, f->lost);
        stats_put(out, WR_LIT("\n"));
    }
    tell_unreadable(out, c, s);
}
