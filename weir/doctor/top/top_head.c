/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_text.h"
#include "weir/doctor/top/top_view.h"

#include <inttypes.h>
#include <stdio.h>

#define WIDE   110 /* columns from which on more is told */
#define LABEL  8   /* columns of "accept", "state" */
#define BAR    16
#define LONG   1000 /* ms: somebody has noticed */
#define TOLONG 100

static struct top_pen row(struct top_screen *s, unsigned r, const char *label)
{
    struct top_pen p = top_pen(s, r, 0, s->columns);
    top_styled(&p, TOP_STRONG, label);
    top_to(&p, LABEL);
    return p;
}

static void number(struct top_pen *p, const char *label, uint64_t n)
{
    struct top_text t;
    top_printf(p, "%s %s", label, top_count(&t, n));
}

/* ---- who ------------------------------------------------------------------------------------------- */
static void processes(struct top_pen *p, const struct top_model *m)
{
    struct top_text t;
    enum doctor_lang lang = p->screen->lang;
    if (m->processes > 1 && m->host)
        top_printf(p, WORD(lang, TOP_PROCESSES), m->processes);
    else if (m->processes > 1)
        top_printf(p, " + %" PRIu32, m->processes - 1);
    top_printf(p, m->threads == 1 ? WORD(lang, TOP_THREAD) : WORD(lang, TOP_THREADS),
               m->threads);
    if (!m->host)
        top_printf(p, WORD(lang, TOP_UP), top_age(&t, lang, m->up_ms));
}

static void corner(const struct top_ui *ui, const struct top_screen *s, char *out, size_t n)
{
    struct top_text age, cost;
    if (ui->recording) {
        (void)snprintf(out, n, "%s", WORD(s->lang, TOP_RECORDING));
        return;
    }
    int at = snprintf(out, n, " %s%s%s", ui->paused ? WORD(s->lang, TOP_PAUSED) : "",
                      s->columns < WIDE ? "" : WORD(s->lang, TOP_EVERY),
                      top_age(&age, s->lang, ui->every_ms));
    if (at > 0 && (size_t)at < n)
        (void)snprintf(out + at, n - (size_t)at, WORD(s->lang, TOP_COST),
                       top_percent(&cost, ui->cost));
}

static void title(struct top_screen *s, const struct top_model *m, const struct top_ui *ui)
{
    char right[96];
    corner(ui, s, right, sizeof right);
    unsigned width = top_width(wr_span_str(right));
    unsigned end = s->columns > width ? s->columns - width : 0;
    struct top_pen p = top_pen(s, 0, 0, end);
    top_say(&p, "weir top  ");
    if (m->programs.n == 0)
        top_say(&p, WORD(s->lang, TOP_FIRST));
    else if (m->host)
        top_printf(
            &p, m->programs.n == 1 ? WORD(s->lang, TOP_PROGRAM) : WORD(s->lang, TOP_PROGRAMS),
            m->programs.n);
    else
        top_printf(&p, "%.16s %s  pid %" PRIu32, m->name, m->listen, m->pid);
    if (m->programs.n)
        processes(&p, m);
    top_to(&p, end);
    p = top_pen(s, 0, end, s->columns);
    top_say(&p, right);
    p.end = s->columns;
    top_fill(&p, TOP_BAR);
}

/* ---- what waits longest --------------------------------------------------------------------------- */
static enum top_style urgency(const struct top_oldest *o)
{
    if (o->n == 0)
        return TOP_DIM;
    return o->ms == FACTS_UNKNOWN || o->ms < TOLONG ? TOP_PLAIN
           : o->ms < LONG                           ? TOP_WARN
                                                    : TOP_BAD;
}

static void oldest(struct top_pen *p, unsigned column, const char *label,
                   const struct top_oldest *o)
{
    enum doctor_lang lang = p->screen->lang;
    struct top_text age, n;
    if (p->column + 1 < column)
        top_to(p, column);
    else
        top_say(p, "  ");
    p->style = urgency(o);
    if (o->n == 0)
        top_printf(p, WORD(lang, TOP_NO_ONE), label);
    else if (o->n == 1)
        top_printf(p, "%s %s", label, top_age(&age, lang, o->ms));
    else
        top_printf(p, "%s %s x%s", label, top_age(&age, lang, o->ms), top_count(&n, o->n));
    p->style = TOP_PLAIN;
}

static void waiting(struct top_screen *s, const struct top_model *m)
{
    struct top_pen p = row(s, 1, WORD(s->lang, TOP_L_OLDEST));
    p.column -= 2; /* the first stands where the label ends */
    oldest(&p, LABEL, WORD(s->lang, TOP_UNACCEPTED), &m->unaccepted);
    oldest(&p, 30, WORD(s->lang, TOP_UNREAD), &m->unread);
    oldest(&p, 47, WORD(s->lang, TOP_OWED), &m->owed);
    oldest(&p, 63, WORD(s->lang, TOP_BLOCKED), &m->blocked);
    if (s->columns < WIDE)
        return;
    top_to(&p, 84);
    if (m->blocked.n)
        top_printf(&p, WORD(s->lang, TOP_THREAD_WHO), m->blocked.who);
    else if (m->owed.n)
        top_printf(&p, WORD(s->lang, TOP_TO_WHO), m->owed.who);
}

/* ---- accept queue --------------------------------------------------------------------------------- */
static void bar(struct top_pen *p, uint64_t n, uint64_t of)
{
    char cells[BAR + 3] = "[";
    uint64_t full = of ? (n * BAR + of - 1) / of : 0;
    for (unsigned i = 0; i < BAR; i++)
        cells[1 + i] = i < full ? '#' : '.';
    cells[BAR + 1] = ']';
    top_styled(p, n > of ? TOP_BAD : n * 2 > of ? TOP_WARN : TOP_GOOD, cells);
}

static void rose(struct top_pen *p, const char *label, uint64_t n)
{
    struct top_text t;
    char text[48];
    (void)snprintf(text, sizeof text, " %s %s%s", label, n == FACTS_UNKNOWN ? "" : "+",
                   top_count(&t, n));
    top_styled(p, n && n != FACTS_UNKNOWN ? TOP_BAD : TOP_PLAIN, text);
}

static void accept_queue(struct top_screen *s, const struct top_model *m)
{
    struct top_text a, b, c;
    struct top_pen p = row(s, 2, WORD(s->lang, TOP_L_ACCEPT));
    if (m->lists.n == 0) {
        top_styled(&p, TOP_DIM, WORD(s->lang, TOP_NOWHERE));
        return;
    }
    bar(&p, m->queue.waiting, m->queue.backlog);
    top_printf(&p, WORD(s->lang, TOP_QUEUE), top_count(&a, m->queue.waiting),
               top_count(&b, m->queue.backlog), top_count(&c, m->queue.peak));
    rose(&p, WORD(s->lang, TOP_DROPS), m->drops);
    rose(&p, WORD(s->lang, TOP_OVERFLOW), m->overflows);
    top_printf(&p, " %s", m->queue.name);
    if (m->lists.n > 1)
        top_printf(&p, WORD(s->lang, TOP_OF_LISTENERS), m->lists.n);
}

/* ---- debts ------------------------------------------------------------------------------------------- */
/* The peers that owe us most, up to three. */
static void debtors(struct top_pen *p, const struct top_model *m)
{
    uint32_t below = UINT32_MAX, told = 0;
    while (told < 3) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < m->peers.n; i++) {
            const struct top_peer *x = &m->peers.v[i];
            if (x->outgoing && x->owed < below && x->owed > most)
                most = x->owed;
        }
        if (most == 0)
            return;
        for (uint32_t i = 0; i < m->peers.n && told < 3; i++) {
            const struct top_peer *x = &m->peers.v[i];
            if (x->outgoing && x->owed == most)
                top_printf(p, "%s %s x%" PRIu32, told++ ? "," : ":", x->name, most);
        }
        below = most;
    }
}

static void debts(struct top_screen *s, const struct top_model *m)
{
    struct top_text age;
    struct top_pen p = row(s, 3, WORD(s->lang, TOP_L_ANSWERS));
    number(&p, WORD(s->lang, TOP_WE_OWE), m->owed.n);
    number(&p, WORD(s->lang, TOP_OTHERS_OWE), m->upstream.n);
    if (m->upstream.n)
        top_printf(&p, WORD(s->lang, TOP_OLDEST_AGE), top_age(&age, s->lang, m->upstream.ms));
    debtors(&p, m);
}

/* ---- states, limits, host -------------------------------------------------------------------------- */
static void states(struct top_screen *s, const struct top_model *m)
{
    struct top_pen p = row(s, 4, WORD(s->lang, TOP_L_STATE));
    number(&p, "ESTAB", m->state[FACTS_ESTABLISHED]);
    number(&p, "  T_WAIT", m->state[FACTS_TIME_WAIT]);
    p.style = m->kept >= 50 ? TOP_WARN : TOP_PLAIN;
    number(&p, "  C_WAIT", m->state[FACTS_CLOSE_WAIT]);
    if (m->kept)
        number(&p, WORD(s->lang, TOP_KEPT), m->kept);
    p.style = TOP_PLAIN;
    number(&p, "  SYN_SENT", m->state[FACTS_SYN_SENT]);
    number(&p, WORD(s->lang, TOP_N_UNACCEPTED), m->unaccepted.n);
    number(&p, WORD(s->lang, TOP_BARE), m->bare);
    if (s->columns < WIDE)
        return;
    number(&p, "  SYN_RECV", m->state[FACTS_SYN_RECV] + m->state[FACTS_NEW_SYN_RECV]);
    number(&p, "  FIN_WAIT", m->state[FACTS_FIN_WAIT1] + m->state[FACTS_FIN_WAIT2]);
}

static enum top_style share_style(uint64_t permille)
{
    return permille == FACTS_UNKNOWN || permille < 700 ? TOP_PLAIN
           : permille < 900                            ? TOP_WARN
                                                       : TOP_BAD;
}

static void memory(struct top_pen *p, const struct top_model *m)
{
    struct top_text rss, slope;
    top_printf(p, WORD(p->screen->lang, TOP_RSS), top_bytes(&rss, m->rss));
    if (!m->slope_known)
        return;
    bool less = m->rss_per_min < 0;
    uint64_t by = (uint64_t)(less ? -m->rss_per_min : m->rss_per_min);
    top_printf(p, WORD(p->screen->lang, TOP_PER_MIN), less ? '-' : '+', top_bytes(&slope, by));
}

static void limits(struct top_screen *s, const struct top_model *m)
{
    struct top_text a, b;
    struct top_pen p = row(s, 5, WORD(s->lang, TOP_L_LIMITS));
    uint64_t ports = top_permille(m->ports.used, m->ports.range);
    if (m->ports.used) {
        p.style = share_style(ports);
        top_printf(&p, WORD(s->lang, TOP_PORTS), m->ports.to, top_percent(&a, ports),
                   top_count(&b, m->ports.range));
        p.style = TOP_PLAIN;
    } else {
        top_say(&p, WORD(s->lang, TOP_NO_PORTS));
    }
    p.style = share_style(top_permille(m->fds, m->fds_limit));
    top_printf(&p, WORD(s->lang, TOP_FDS), top_count(&a, m->fds), top_count(&b, m->fds_limit));
    p.style = TOP_PLAIN;
    memory(&p, m);
}

static void host(struct top_screen *s, const struct top_model *m)
{
    struct top_text a, b, c, d;
    struct top_pen p = row(s, 6, WORD(s->lang, TOP_L_HOST));
    top_printf(&p, WORD(s->lang, TOP_RATES), top_count(&a, m->in_per_s),
               top_count(&b, m->out_per_s), top_count(&c, m->open));
    p.style = m->starved != FACTS_UNKNOWN && m->starved >= 200 ? TOP_WARN : TOP_PLAIN;
    top_printf(&p, WORD(s->lang, TOP_STARVED), top_percent(&d, m->starved));
    p.style = m->throttled != FACTS_UNKNOWN && m->throttled ? TOP_BAD : TOP_PLAIN;
    top_printf(&p, WORD(s->lang, TOP_THROTTLED), top_percent(&d, m->throttled));
    p.style = TOP_PLAIN;
    if (m->unread_files)
        top_printf(&p, WORD(s->lang, TOP_UNREADABLE), m->unread_files);
}

void top_head_draw(struct top_screen *s, const struct top_model *m, const struct top_ui *ui)
{
    title(s, m, ui);
    waiting(s, m);
    accept_queue(s, m);
    debts(s, m);
    states(s, m);
    limits(s, m);
    host(s, m);
}
