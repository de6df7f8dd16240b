/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/report/phrase.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/top/top_view.h"
#include "weir/stats/text.h"

#include <errno.h>

#define INDENT 4 /* of a line that goes on */

/* One finding as the report has it, without its columns. */
static void evidence(struct stats_text *out, enum doctor_lang lang, const struct evidence *e)
{
    const struct evidence_row *row = evidence_row(e->name);
    stats_printf(out, "  %s: ", row->label[lang]);
    if (row->unit == UNIT_TEXT) {
        phrase_put(out, lang, e->text);
    } else {
        if (e->a != e->b && row->unit != UNIT_NUMBER && row->unit != UNIT_HEX) {
            catalogue_value(out, lang, row->unit, e->a);
            stats_put(out, WR_LIT(" -> "));
        }
        catalogue_value(out, lang, row->unit, e->b);
    }
    if (e->has_limit) {
        stats_put(out, wr_span_str(WORD(lang, TOP_LIMIT_OF)));
        catalogue_value(out, lang, row->unit, e->limit);
    }
    stats_put(out, WR_LIT("\n"));
}

static void paragraph(struct stats_text *out, enum doctor_lang lang, const struct finding *f,
                      const char *label, const char *template)
{
    if (!*template)
        return;
    stats_put(out, wr_span_str(label));
    catalogue_fill(out, lang, template, f);
    stats_put(out, WR_LIT("\n"));
}

static void explain_one(struct stats_text *out, enum doctor_lang lang, const struct finding *f)
{
    const struct rule_text *t = catalogue_text(f->rule, lang);
    stats_printf(out, WORD(lang, TOP_FINDING), word_severity_loud(lang, f->severity), t->title,
                 word_certainty(lang, f->certainty));
    stats_put(out, WR_LIT("\n"));
    paragraph(out, lang, f, "", t->sentence);
    for (unsigned i = 0; i < f->n_evidence; i++)
        evidence(out, lang, &f->evidence[i]);
    paragraph(out, lang, f, WORD(lang, TOP_WHY), t->why);
    paragraph(out, lang, f, WORD(lang, TOP_DO_NOW), t->now);
    paragraph(out, lang, f, WORD(lang, TOP_FIX), t->fix);
    paragraph(out, lang, f, WORD(lang, TOP_NOT_IT), t->not_it);
    stats_put(out, WR_LIT("\n"));
}

static void explain(struct stats_text *out, enum doctor_lang lang, const struct findings *found)
{
    for (unsigned i = 0; i < found->leading; i++)
        explain_one(out, lang, &found->row[found->order[i]]);
    if (found->leading == 0)
        stats_put(out, wr_span_str(WORD(lang, TOP_NOTHING)));
}

static void treat(struct stats_text *out, enum doctor_lang lang, const struct findings *found)
{
    bool any = false;
    for (unsigned i = 0; i < found->leading; i++) {
        const struct finding *f = &found->row[found->order[i]];
        const struct rule_text *t = catalogue_text(f->rule, lang);
        stats_printf(out, "%s\n", t->title);
        if (*t->now) {
            stats_put(out, wr_span_str(WORD(lang, TOP_TREAT_NOW)));
            catalogue_fill(out, lang, t->now, f);
            stats_put(out, WR_LIT("\n"));
        }
        stats_put(out, wr_span_str(WORD(lang, TOP_TREAT_FIX)));
        catalogue_fill(out, lang, *t->fix ? t->fix : "-", f);
        stats_put(out, WR_LIT("\n\n"));
        any = true;
    }
    if (any)
        stats_put(out, wr_span_str(WORD(lang, TOP_CHANGES_NOTHING)));
    else
        stats_put(out, wr_span_str(WORD(lang, TOP_NO_TREAT)));
}

static bool closes_next(struct wr_span line, size_t at)
{
    return plain_closes(plain_next(line, &at));
}

/* How much of the line fits: broken at a blank, or beside a wide character that no line may begin with. */
static size_t fitting(struct wr_span line, unsigned width)
{
    size_t good = 0;
    unsigned columns = 0;
    for (size_t at = 0; at < line.n;) {
        size_t from = at;
        int32_t point = plain_next(line, &at);
        bool wide = plain_columns(point) == 2;
        if (point == ' ' || (wide && !plain_closes(point)))
            good = from;
        columns += top_width(wr_span_sub(line, from, at - from));
        if (columns > width)
            return good > 8 ? good : line.n;
        if (wide && at < line.n && !closes_next(line, at))
            good = at;
    }
    return line.n;
}

/* What of a line stands in the next row, and behind which indent. */
static struct wr_span next_piece(struct wr_span *line, bool first, unsigned width)
{
    if (!first)
        *line = wr_span_trim(*line);
    size_t fits = fitting(*line, first ? width : width - INDENT);
    struct wr_span piece = wr_span_sub(*line, 0, fits);
    *line = wr_span_sub(*line, fits, line->n);
    return piece;
}

static uint32_t draw_lines(struct top_screen *s, struct wr_span all, uint32_t skip,
                           unsigned from, unsigned end)
{
    uint32_t n = 0;
    struct wr_span line;
    while (wr_span_split(&all, '\n', &line)) {
        bool first = true;
        do {
            struct wr_span piece = next_piece(&line, first, s->columns);
            if (n >= skip && from + (n - skip) < end) {
                struct top_pen p =
                    top_pen(s, from + (n - skip), first ? 0 : INDENT, s->columns);
                p.escaped = true;
                top_put(&p, piece);
            }
            n++;
            first = false;
        } while (line.n);
    }
    return n;
}

int top_page_draw(struct top_screen *s, const struct findings *found, struct top_ui *ui,
                  unsigned from, unsigned end, const struct wr_heap *heap)
{
    struct stats_text text = {.heap = heap};
    if (ui->page == TOP_PAGE_HELP)
        stats_put(&text, wr_span_str(WORD(s->lang, TOP_PAGE_HELP_TEXT)));
    else if (!found)
        stats_put(&text, wr_span_str(WORD(s->lang, TOP_NO_VERDICT)));
    else if (ui->page == TOP_PAGE_TREAT)
        treat(&text, s->lang, found);
    else
        explain(&text, s->lang, found);
    ui->fit = end > from ? end - from : 0;
    struct wr_span all = wr_span(text.p, text.n);
    while (all.n && all.p[all.n - 1] == '\n')
        all.n--;
    ui->lines = draw_lines(s, all, UINT32_MAX, from, from);
    if (ui->page_scroll + ui->fit > ui->lines)
        ui->page_scroll = ui->lines > ui->fit ? ui->lines - ui->fit : 0;
    draw_lines(s, all, ui->page_scroll, from, end);
    bool failed = text.failed;
    stats_text_free(&text);
    return failed ? -ENOMEM : 0;
}
