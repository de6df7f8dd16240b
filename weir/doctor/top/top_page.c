/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/top/top_view.h"
#include "weir/stats/text.h"

#include <errno.h>

#define INDENT 4 /* of a line that goes on */

static const char help[] =
    "1 workers    each thread: its system call and on what, for how long if it is\n"
    "             blocked, processor, connections, accept queue, wake-ups, and the\n"
    "             share of the time that it waited to run\n"
    "2 peers      who is at the other end: answers owed and the oldest, round trip,\n"
    "             bytes sent again, TIME_WAIT, share of the local ports\n"
    "3 listeners  accept queues with their peaks, and who holds them\n"
    "4 threads    by family: sixteen threads of one pool are one row\n"
    "5 counters   of the kernel, only those that moved\n"
    "6 history    findings that came and went since the start\n"
    "0 programs   all that listen, with their worst ages\n"
    "\n"
    "enter  explain the verdict          s      sort by the next column\n"
    "t      the command that treats it   j k    a row down, up; also the arrows\n"
    "r      record the looks in a file   g G    first, last row; Home, End\n"
    "space  pause                        f b    a page down, up; PgDn, PgUp\n"
    "+ -    longer, shorter interval     ^L     draw everything anew\n"
    "h ?    this page                    q      quit\n"
    "\n"
    "unaccepted  handshake done, nobody called accept()\n"
    "unread      bytes that the program has not read\n"
    "owed        requests that were read and not answered yet\n"
    "blocked     a thread that goes on only when somebody else does something\n"
    "kept, bare  CLOSE_WAIT that a process holds; sockets without a connection\n"
    "starved     the thread that waited longest for a processor\n"
    "throttled   time for which a quota stopped the process\n";

/* One finding as the report has it, without its columns. */
static void evidence(struct stats_text *out, const struct evidence *e)
{
    const struct evidence_row *row = evidence_row(e->name);
    stats_printf(out, "  %s: ", row->label[LANG_EN]);
    if (row->unit == UNIT_TEXT) {
        plain_put(out, wr_span_str(e->text));
    } else {
        if (e->a != e->b && row->unit != UNIT_NUMBER && row->unit != UNIT_HEX) {
            catalogue_value(out, row->unit, e->a);
            stats_put(out, WR_LIT(" -> "));
        }
        catalogue_value(out, row->unit, e->b);
    }
    if (e->has_limit) {
        stats_put(out, WR_LIT(" of "));
        catalogue_value(out, row->unit, e->limit);
    }
    stats_put(out, WR_LIT("\n"));
}

static void paragraph(struct stats_text *out, const struct finding *f, const char *label,
                      const char *template)
{
    if (!*template)
        return;
    stats_put(out, wr_span_str(label));
    catalogue_fill(out, LANG_EN, template, f);
    stats_put(out, WR_LIT("\n"));
}

static void explain_one(struct stats_text *out, const struct finding *f)
{
    static const char *const severities[] = {"INFO", "WARNING", "CRITICAL"};
    static const char *const certainties[] = {"hint", "likely", "certain"};
    const struct rule_text *t = catalogue_text(f->rule, LANG_EN);
    stats_printf(out, "%s  %s (%s)\n", severities[f->severity], t->title,
                 certainties[f->certainty]);
    paragraph(out, f, "", t->sentence);
    for (unsigned i = 0; i < f->n_evidence; i++)
        evidence(out, &f->evidence[i]);
    paragraph(out, f, "Why: ", t->why);
    paragraph(out, f, "Now: ", t->now);
    paragraph(out, f, "Fix: ", t->fix);
    paragraph(out, f, "Not it: ", t->not_it);
    stats_put(out, WR_LIT("\n"));
}

static void explain(struct stats_text *out, const struct findings *found)
{
    for (unsigned i = 0; i < found->leading; i++)
        explain_one(out, &found->row[found->order[i]]);
    if (found->leading == 0)
        stats_put(out, WR_LIT("Nothing was found between the last two looks.\n"));
}

static void treat(struct stats_text *out, const struct findings *found)
{
    bool any = false;
    for (unsigned i = 0; i < found->leading; i++) {
        const struct finding *f = &found->row[found->order[i]];
        const struct rule_text *t = catalogue_text(f->rule, LANG_EN);
        stats_printf(out, "%s\n", t->title);
        if (*t->now) {
            stats_put(out, WR_LIT("  now   "));
            catalogue_fill(out, LANG_EN, t->now, f);
            stats_put(out, WR_LIT("\n"));
        }
        stats_put(out, WR_LIT("  fix   "));
        catalogue_fill(out, LANG_EN, *t->fix ? t->fix : "-", f);
        stats_put(out, WR_LIT("\n\n"));
        any = true;
    }
    if (any)
        stats_put(
            out,
            WR_LIT("weir top itself changes nothing: run the command in another shell.\n"));
    else
        stats_put(out, WR_LIT("Nothing was found, so there is nothing to treat.\n"));
}

/* How much of the line fits, broken at a blank where there is one. */
static size_t fitting(struct wr_span line, unsigned width)
{
    if (top_width(line) <= width)
        return line.n;
    size_t blank = 0;
    for (size_t i = 0; i < line.n && top_width(wr_span_sub(line, 0, i)) <= width; i++)
        if (line.p[i] == ' ')
            blank = i;
    return blank > 8 ? blank : line.n;
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
        stats_put(&text, wr_span(help, sizeof help - 1));
    else if (!found)
        stats_put(&text, WR_LIT("No verdict yet: it needs two looks.\n"));
    else if (ui->page == TOP_PAGE_TREAT)
        treat(&text, found);
    else
        explain(&text, found);
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
