/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/report_text.h"

#include "weir/doctor/report/plain.h"
#include "weir/stats/text.h"

#define LEAST_WIDTH 40

unsigned report_columns(struct wr_span s)
{
    unsigned n = 0;
    for (size_t at = 0; at < s.n;)
        n += plain_columns(plain_next(s, &at));
    return n;
}

void report_spaces(struct stats_text *out, unsigned n)
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

/* A word that is wider than a line: as much as fits into each. Returns the column behind it. */
static unsigned put_piece(struct stats_text *out, struct wr_span piece, unsigned column,
                          unsigned at, unsigned width)
{
    for (size_t from = 0; from < piece.n;) {
        size_t end = from;
        unsigned columns = plain_columns(plain_next(piece, &end));
        if (at + columns > width && at > column) {
            stats_put(out, WR_LIT("\n"));
            report_spaces(out, column);
            at = column;
        }
        stats_put(out, wr_span_sub(piece, from, end - from));
        at += columns;
        from = end;
    }
    return at;
}

void report_wrap(struct stats_text *out, const struct doctor_style *s, unsigned column,
                 struct wr_span text)
{
    unsigned width = s->width < LEAST_WIDTH ? LEAST_WIDTH : s->width;
    unsigned at = column;
    for (size_t from = 0; from < text.n;) {
        size_t end = piece_end(text, from);
        struct wr_span piece = wr_span_sub(text, from, end - from);
        if (at > column && at + report_columns(piece) > width) {
            stats_put(out, WR_LIT("\n"));
            report_spaces(out, column);
            at = column;
            if (piece.p[0] == ' ')
                piece = wr_span_sub(piece, 1, piece.n - 1);
        }
        at = put_piece(out, piece, column, at, width);
        from = end;
    }
    stats_put(out, WR_LIT("\n"));
}

void report_colour(struct stats_text *out, const struct doctor_style *s, const char *code)
{
    if (s->colour)
        stats_printf(out, "\033[%sm", code);
}

void report_label(struct stats_text *out, const struct doctor_style *s, const char *word)
{
    report_spaces(out, 2);
    report_colour(out, s, "1");
    stats_put(out, wr_span_str(word));
    report_colour(out, s, "0");
    unsigned n = report_columns(wr_span_str(word));
    report_spaces(out, n < REPORT_LABEL ? REPORT_LABEL - n : 1);
}

void report_wrap_text(struct stats_text *out, const struct doctor_style *s, unsigned column,
                      struct stats_text *text)
{
    report_wrap(out, s, column, wr_span(text->p, text->n));
    out->failed |= text->failed;
    stats_text_free(text);
}
