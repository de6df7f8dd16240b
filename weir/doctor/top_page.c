/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report.h"
#include "weir/doctor/top_view.h"
#include "weir/stats/text.h"

#include <errno.h>

static const char help[] =
    "1 workers    each thread: its system call and on what, since when if it is blocked,\n"
    "             processor, connections, accept queue, wake-ups, time it waited to run\n"
    "2 peers      who is at the other end: answers owed and the oldest, round trip, bytes\n"
    "             sent again, TIME_WAIT, share of the local ports\n"
    "3 listeners  accept queues with their peaks, who holds them\n"
    "4 threads    by family: what sixteen threads of one pool do is one row\n"
    "5 counters   of the kernel, only those that moved\n"
    "6 history    findings that came and went since the start\n"
    "0 programs   all that listen, with their worst ages\n"
    "\n"
    "enter  explain the verdict          s      sort by the next column\n"
    "t      the command that treats it   j k    one row down, up; also the arrows\n"
    "r      record the looks in a file   g G    first, last row; also Home, End\n"
    "space  pause                        pages  PgUp and PgDn, also b and f\n"
    "+ -    longer, shorter interval     ^L     draw everything anew\n"
    "h ?    this page                    q      quit\n"
    "\n"
    "oldest   unaccepted: handshake done, nobody called accept().   unread: bytes that\n"
    "         the program has not read.   owed: requests read, not yet answered.\n"
    "         blocked: a thread that cannot go on until somebody else does something.\n"
    "bare     descriptors of sockets without a connection (never closed after an error).\n"
    "starved  the thread that waited longest for a processor, of the time between looks.\n";

static void tell(struct stats_text *out, const struct top_model *m,
                 const struct findings *found, unsigned width)
{
    char name[17] = "";
    memcpy(name, m->name, sizeof m->name);
    struct doctor_case c = {.name = m->host ? "this host" : name,
                            .pid = m->host ? 0 : (int32_t)m->pid,
                            .processes = m->processes,
                            .threads = m->threads,
                            .listener = m->host ? "" : m->listen,
                            .wall_ns = m->wall_ms * 1000000,
                            .span_ms = (uint32_t)m->span_ms,
                            .looks = 2,
                            .findings = found};
    struct doctor_style style = {.lang = LANG_EN, .width = width};
    doctor_tell(out, &c, &style);
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
            catalogue_fill(out, t->now, f);
            stats_put(out, WR_LIT("\n"));
        }
        stats_put(out, WR_LIT("  fix   "));
        catalogue_fill(out, *t->fix ? t->fix : "-", f);
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

static uint32_t draw_lines(struct top_screen *s, struct wr_span all, uint32_t skip,
                           unsigned from, unsigned end)
{
    uint32_t n = 0;
    struct wr_span line;
    while (wr_span_split(&all, '\n', &line)) {
        do {
            size_t fits = fitting(line, s->columns);
            if (n >= skip && from + (n - skip) < end) {
                struct top_pen p = top_pen(s, from + (n - skip), 0, s->columns);
                p.escaped = true;
                top_put(&p, wr_span_sub(line, 0, fits));
            }
            n++;
            line = wr_span_sub(line, fits, line.n);
        } while (line.n);
    }
    return n;
}

int top_page_draw(struct top_screen *s, const struct top_model *m, const struct findings *found,
                  struct top_ui *ui, unsigned from, unsigned end, const struct wr_heap *heap)
{
    struct stats_text text = {.heap = heap};
    if (ui->page == TOP_PAGE_HELP)
        stats_put(&text, wr_span(help, sizeof help - 1));
    else if (!found)
        stats_put(&text, WR_LIT("No verdict yet: it needs two looks.\n"));
    else if (ui->page == TOP_PAGE_TREAT)
        treat(&text, found);
    else
        tell(&text, m, found, s->columns);
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
