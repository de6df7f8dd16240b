/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of the network: peers, listeners, counters. */
#include "weir/doctor/top/top_columns.h"
#include "weir/doctor/top/top_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- peers ---------------------------------------------------------------------------------------------- */
static const struct top_column peer_columns[] = {
    {WORDS(TOP_C_PEER),      0,  true },
    {WORDS(TOP_C_CONNS),     6,  false},
    {WORDS(TOP_C_OWED),      5,  false},
    {WORDS(TOP_C_OLDEST),    8,  false},
    {WORDS(TOP_C_RTT),       12, false},
    {WORDS(TOP_C_RESENT),    6,  false},
    {WORDS(TOP_C_TIME_WAIT), 6,  false},
    {WORDS(TOP_C_PORTS),     5,  false},
};

static uint32_t peer_rows(const struct top_model *m)
{
    return m->peers.n;
}

/* Microseconds as ms with as many digits as say something. */
static const char *rtt(struct top_text *t, uint64_t us)
{
    if (us == FACTS_UNKNOWN)
        (void)snprintf(t->s, sizeof t->s, "-");
    else if (us < 10000)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ".%02" PRIu64, us / 1000, us / 10 % 100);
    else
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64, us / 1000);
    return t->s;
}

static void peer_cell(const struct top_model *m, uint32_t row, uint32_t column,
                      enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_peer *p = &m->peers.v[row];
    struct top_text a, b;
    switch (column) {
    case 0:
        (void)snprintf(out, TOP_CELL, "%s %s",
                       p->outgoing ? WORD(lang, TOP_TO) : WORD(lang, TOP_FROM_PEER), p->name);
        return;
    case 1:
        top_cell_count(out, p->conns);
        return;
    case 2:
        top_cell_some(out, p->owed);
        return;
    case 3:
        top_cell_age(out, lang, p->owed ? p->oldest_ms : FACTS_UNKNOWN);
        return;
    case 4:
        (void)snprintf(out, TOP_CELL, "%s/%s", rtt(&a, p->rtt_us), rtt(&b, p->min_rtt_us));
        return;
    case 5:
        top_cell_percent(out, p->resent);
        return;
    case 6:
        top_cell_some(out, p->time_wait);
        return;
    default:
        top_cell_percent(out, p->port_share);
    }
}

static uint64_t peer_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_peer *p = &m->peers.v[row];
    switch (column) {
    case 0:
        return top_key_alphabet(p->name);
    case 1:
        return p->conns;
    case 2:
        return p->owed;
    case 3:
        return p->owed ? p->oldest_ms + 1 : 0;
    case 4:
        return top_key_known(p->rtt_us);
    case 5:
        return top_key_known(p->resent);
    case 6:
        return p->time_wait;
    case 7:
        return top_key_known(p->port_share);
    default:
        return (uint64_t)p->owed << 32 | (p->conns + p->time_wait);
    }
}

static enum top_style peer_style(const struct top_model *m, uint32_t row)
{
    const struct top_peer *p = &m->peers.v[row];
    if (p->port_share != FACTS_UNKNOWN && p->port_share >= 900)
        return TOP_BAD;
    return p->owed && p->oldest_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

const struct top_rows top_rows_of_peers = TOP_ROWS(TOP_T_PEERS, peer);

/* ---- listeners ---------------------------------------------------------------------------------------- */
static const struct top_column listener_columns[] = {
    {WORDS(TOP_C_LISTENS), 0,  true },
    {WORDS(TOP_C_HELD_BY), 18, true },
    {WORDS(TOP_C_HOLDERS), 7,  false},
    {WORDS(TOP_C_QUEUE),   6,  false},
    {WORDS(TOP_C_BACKLOG), 7,  false},
    {WORDS(TOP_C_PEAK),    6,  false},
    {WORDS(TOP_C_OLDEST),  7,  false},
    {WORDS(TOP_C_DROPS),   6,  false},
};

static uint32_t listener_rows(const struct top_model *m)
{
    return m->lists.n;
}

static void listener_cell(const struct top_model *m, uint32_t row, uint32_t column,
                          enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_listener *l = &m->lists.v[row];
    switch (column) {
    case 0:
        top_cell_text(out, l->name);
        return;
    case 1:
        top_cell_text(out, l->owner);
        return;
    case 2:
        top_cell_count(out, l->owners);
        return;
    case 3:
        top_cell_count(out, l->waiting);
        return;
    case 4:
        top_cell_count(out, l->backlog);
        return;
    case 5:
        top_cell_count(out, l->peak);
        return;
    case 6:
        top_cell_age(out, lang, l->oldest_ms ? l->oldest_ms : FACTS_UNKNOWN);
        return;
    default:
        top_cell_count(out, l->drops);
    }
}

static uint64_t listener_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_listener *l = &m->lists.v[row];
    switch (column) {
    case 0:
        return top_key_alphabet(l->name);
    case 1:
        return top_key_alphabet(l->owner);
    case 2:
        return l->owners;
    case 3:
        return l->waiting;
    case 4:
        return l->backlog;
    case 5:
        return l->peak;
    case 6:
        return l->oldest_ms;
    case 7:
        return top_key_known(l->drops);
    default:
        return l->waiting << 32 | (l->peak & 0xffffffff);
    }
}

static enum top_style listener_style(const struct top_model *m, uint32_t row)
{
    const struct top_listener *l = &m->lists.v[row];
    if (l->waiting > l->backlog || (l->drops && l->drops != FACTS_UNKNOWN))
        return TOP_BAD;
    return l->oldest_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

const struct top_rows top_rows_of_listeners = TOP_ROWS(TOP_T_LISTENERS, listener);

/* ---- counters that moved --------------------------------------------------------------------------- */
static const struct top_column counter_columns[] = {
    {WORDS(TOP_C_COUNTER), 0,  true },
    {WORDS(TOP_C_OF),      22, true },
    {WORDS(TOP_C_ROSE),    9,  false},
    {WORDS(TOP_C_PER_S),   9,  false},
    {WORDS(TOP_C_VALUE),   9,  false},
};

static uint32_t counter_rows(const struct top_model *m)
{
    return m->counters.n;
}

static void counter_cell(const struct top_model *m, uint32_t row, uint32_t column,
                         enum doctor_lang lang, char out[TOP_CELL])
{
    (void)lang;
    const struct top_counter *c = &m->counters.v[row];
    switch (column) {
    case 0:
        top_cell_text(out, c->name);
        return;
    case 1:
        top_cell_text(out, c->group);
        return;
    case 2:
        top_cell_count(out, c->rise);
        return;
    case 3:
        top_cell_count(out, c->per_s);
        return;
    default:
        top_cell_count(out, c->value);
    }
}

static uint64_t counter_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_counter *c = &m->counters.v[row];
    switch (column) {
    case 0:
        return top_key_alphabet(c->name);
    case 1:
        return top_key_alphabet(c->group);
    case 2:
    case 3:
        return c->rise;
    case 4:
        return c->value;
    default:
        return top_key_upwards(row);
    }
}

static enum top_style counter_style(const struct top_model *m, uint32_t row)
{
    (void)m;
    (void)row;
    return TOP_PLAIN;
}

const struct top_rows top_rows_of_counters = TOP_ROWS(TOP_T_COUNTERS, counter);
