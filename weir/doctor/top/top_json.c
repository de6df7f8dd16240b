/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top.h"
#include "weir/doctor/top/top_model.h"
#include "weir/stats/text.h"

#include <inttypes.h>

#define ROWS_MAX 200 /* of each list: who needs all records */

static void key(struct stats_text *out, const char *name)
{
    if (out->n && out->p[out->n - 1] != '{' && out->p[out->n - 1] != '[')
        stats_put(out, WR_LIT(","));
    stats_printf(out, "\"%s\":", name);
}

static void number(struct stats_text *out, const char *name, uint64_t v)
{
    key(out, name);
    if (v == FACTS_UNKNOWN)
        stats_put(out, WR_LIT("null"));
    else
        stats_printf(out, "%" PRIu64, v);
}

static void string(struct stats_text *out, const char *name, const char *v, size_t most)
{
    key(out, name);
    stats_json(out, wr_span(v, strnlen(v, most)));
}

static void truth(struct stats_text *out, const char *name, bool v)
{
    key(out, name);
    stats_printf(out, "%s", v ? "true" : "false");
}

static void open_row(struct stats_text *out, uint32_t i)
{
    stats_put(out, i ? WR_LIT(",{") : WR_LIT("{"));
}

static void oldest(struct stats_text *out, const char *name, const struct top_oldest *o)
{
    key(out, name);
    stats_put(out, WR_LIT("{"));
    number(out, "n", o->n);
    number(out, "oldest_ms", o->n ? o->ms : FACTS_UNKNOWN);
    string(out, "who", o->who, sizeof o->who);
    stats_put(out, WR_LIT("}"));
}

static void head(struct stats_text *out, const struct top_model *m)
{
    number(out, "v", 1);
    number(out, "wall_ms", m->wall_ms);
    number(out, "span_ms", m->span_ms);
    truth(out, "host", m->host);
    string(out, "name", m->name, sizeof m->name);
    string(out, "listen", m->listen, sizeof m->listen);
    number(out, "pid", m->pid);
    number(out, "processes", m->processes);
    number(out, "threads", m->threads);
    number(out, "up_ms", m->up_ms);
    oldest(out, "unaccepted", &m->unaccepted);
    oldest(out, "unread", &m->unread);
    oldest(out, "owed", &m->owed);
    oldest(out, "upstream", &m->upstream);
    oldest(out, "blocked", &m->blocked);
    number(out, "in_per_s", m->in_per_s);
    number(out, "out_per_s", m->out_per_s);
    number(out, "open", m->open);
    number(out, "kept", m->kept);
    number(out, "bare", m->bare);
    number(out, "drops", m->drops);
    number(out, "overflows", m->overflows);
    number(out, "fds", m->fds);
    number(out, "fds_limit", m->fds_limit);
    number(out, "rss", m->rss);
    number(out, "starved_permille", m->starved);
    number(out, "throttled_permille", m->throttled);
    number(out, "unreadable", m->unread_files);
}

static void states(struct stats_text *out, const struct top_model *m)
{
    static const char *const names[] = {
        [FACTS_ESTABLISHED] = "established",
        [FACTS_SYN_SENT] = "syn_sent",
        [FACTS_SYN_RECV] = "syn_recv",
        [FACTS_FIN_WAIT1] = "fin_wait1",
        [FACTS_FIN_WAIT2] = "fin_wait2",
        [FACTS_TIME_WAIT] = "time_wait",
        [FACTS_CLOSE] = "close",
        [FACTS_CLOSE_WAIT] = "close_wait",
        [FACTS_LAST_ACK] = "last_ack",
        [FACTS_LISTEN] = "listen",
        [FACTS_CLOSING] = "closing",
        [FACTS_NEW_SYN_RECV] = "new_syn_recv",
    };
    key(out, "state");
    stats_put(out, WR_LIT("{"));
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++)
        if (names[i])
            number(out, names[i], m->state[i]);
    stats_put(out, WR_LIT("}"));
    key(out, "ports");
    stats_put(out, WR_LIT("{"));
    string(out, "to", m->ports.to, sizeof m->ports.to);
    number(out, "used", m->ports.used);
    number(out, "range", m->ports.used ? m->ports.range : FACTS_UNKNOWN);
    stats_put(out, WR_LIT("}"));
}

static void programs(struct stats_text *out, const struct top_model *m)
{
    key(out, "programs");
    stats_put(out, WR_LIT("["));
    for (uint32_t i = 0; i < m->programs.n && i < ROWS_MAX; i++) {
        const struct top_program *p = &m->programs.v[i];
        open_row(out, i);
        number(out, "pid", p->pid);
        string(out, "name", p->name, sizeof p->name);
        string(out, "listen", p->listen, sizeof p->listen);
        number(out, "processes", p->processes);
        number(out, "connections", p->conns);
        number(out, "queue", p->queue);
        number(out, "backlog", p->backlog);
        oldest(out, "unaccepted", &p->unaccepted);
        oldest(out, "unread", &p->unread);
        oldest(out, "owed", &p->owed);
        oldest(out, "blocked", &p->blocked);
        number(out, "cpu_permille", p->cpu);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
}

static void workers(struct stats_text *out, const struct top_model *m)
{
    static const char *const waits[] = {"unknown", "running", "idle", "parked", "blocked"};
    key(out, "workers");
    stats_put(out, WR_LIT("["));
    for (uint32_t i = 0; i < m->workers.n && i < ROWS_MAX; i++) {
        const struct top_worker *x = &m->workers.v[i];
        open_row(out, i);
        number(out, "pid", x->pid);
        number(out, "tid", x->tid);
        string(out, "name", x->comm, sizeof x->comm);
        string(out, "doing", x->doing, sizeof x->doing);
        string(out, "is", waits[x->wait], 16);
        number(out, "stands_ms", x->stands_ms);
        number(out, "cpu_permille", x->cpu);
        number(out, "run_wait_permille", x->waited);
        number(out, "wakes_per_s", x->wakes);
        number(out, "connections", x->conns);
        number(out, "queue", x->queue);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
}

static void peers(struct stats_text *out, const struct top_model *m)
{
    key(out, "peers");
    stats_put(out, WR_LIT("["));
    for (uint32_t i = 0; i < m->peers.n && i < ROWS_MAX; i++) {
        const struct top_peer *p = &m->peers.v[i];
        open_row(out, i);
        string(out, "peer", p->name, sizeof p->name);
        truth(out, "outgoing", p->outgoing);
        number(out, "connections", p->conns);
        number(out, "owed", p->owed);
        number(out, "oldest_ms", p->owed ? p->oldest_ms : FACTS_UNKNOWN);
        number(out, "rtt_us", p->rtt_us);
        number(out, "min_rtt_us", p->min_rtt_us);
        number(out, "resent_permille", p->resent);
        number(out, "time_wait", p->time_wait);
        number(out, "ports_permille", p->port_share);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
}

static void listeners(struct stats_text *out, const struct top_model *m)
{
    key(out, "listeners");
    stats_put(out, WR_LIT("["));
    for (uint32_t i = 0; i < m->lists.n && i < ROWS_MAX; i++) {
        const struct top_listener *l = &m->lists.v[i];
        open_row(out, i);
        string(out, "address", l->name, sizeof l->name);
        string(out, "held_by", l->owner, sizeof l->owner);
        number(out, "queue", l->waiting);
        number(out, "backlog", l->backlog);
        number(out, "peak", l->peak);
        number(out, "oldest_ms", l->oldest_ms);
        number(out, "drops", l->drops);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
}

static void put_findings(struct stats_text *out, const struct findings *found)
{
    key(out, "findings");
    stats_put(out, WR_LIT("["));
    for (unsigned i = 0; found && i < found->leading; i++) {
        const struct finding *f = &found->row[found->order[i]];
        open_row(out, i);
        string(out, "id", rule_get(f->rule)->id, 64);
        string(out, "severity", severity_word(f->severity), 16);
        string(out, "sure", certainty_word(f->certainty), 16);
        number(out, "pid", (uint64_t)(f->subject.pid > 0 ? f->subject.pid : 0));
        string(out, "listener", f->subject.listener, sizeof f->subject.listener);
        string(out, "peer", f->subject.peer, sizeof f->subject.peer);
        number(out, "victims", f->victims);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
}

void top_json(struct stats_text *out, const struct top_model *m, const struct findings *found)
{
    stats_put(out, WR_LIT("{"));
    head(out, m);
    states(out, m);
    programs(out, m);
    workers(out, m);
    peers(out, m);
    listeners(out, m);
    put_findings(out, found);
    stats_put(out, WR_LIT("}\n"));
}
