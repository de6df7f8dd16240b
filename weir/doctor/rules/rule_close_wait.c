/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * close-wait-leak: sockets in CLOSE_WAIT that a process of the target owns, the same ones at both looks. A few are
 * normal (half-close, work in flight): they count when they are many, or when they grow, and not while they still
 * send. What is unread tells where the program forgot them; the FIN itself counts as one byte. Outgoing ones that
 * nobody read to the end lie in a pool: that is stale-pooled-conn.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t before, now, kept, eof_read, eof_unread, request_unread, unanswered, oldest_ms;
};

static bool leaks(const struct facts_socket *s, enum judge_role role)
{
    return s->proto == FACTS_TCP && s->state == FACTS_CLOSE_WAIT && s->inode != 0 &&
           !(role == JUDGE_OUT && s->rqueue > 0);
}

/* The peer may have closed its half only and be waiting for the answer. */
static bool still_answers(const struct judge *j, uint32_t place)
{
    struct judge_flow flow;
    return j->facts->b.sockets.v[place].wqueue > 0 ||
           (judge_flow(j, place, &flow) && flow.sent > 0);
}

static void count(const struct judge *j, uint32_t place, struct tally *t)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    t->now++;
    t->before += judge_was(j, place) == FACTS_CLOSE_WAIT;
    if (judge_was(j, place) != FACTS_CLOSE_WAIT || still_answers(j, place))
        return;
    t->kept++;
    t->eof_read += s->rqueue == 0;
    t->eof_unread += s->rqueue == 1;
    t->request_unread += s->rqueue > 1;
    const struct facts_tcp *tcp = facts_tcp(&j->facts->b, s);
    uint64_t age_ms = judge_span_ns(j) / 1000000; /* at least: it was so at the first look */
    if (tcp && tcp->last_data_recv_ms != FACTS_NONE) {
        age_ms = tcp->last_data_recv_ms;
        t->unanswered += s->rqueue <= 1 && tcp->last_data_recv_ms < tcp->last_data_sent_ms;
    }
    t->oldest_ms = age_ms > t->oldest_ms ? age_ms : t->oldest_ms;
}

/* Those of the first look that the process has closed since. */
static uint64_t closed(const struct judge *j, uint32_t pid)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint64_t n = 0;
    for (uint32_t i = 0; i < a->sockets.n; i++) {
        const struct facts_socket *s = &a->sockets.v[i];
        uint32_t after = j->map->after[i];
        if (!leaks(s, JUDGE_OTHER) ||
            (after != FACTS_NONE && b->sockets.v[after].state == FACTS_CLOSE_WAIT))
            continue;
        const struct facts_fd *fd = facts_owner(a, s->inode, 0);
        n += fd && fd->pid == pid;
    }
    return n;
}

static struct tally tally(const struct judge *j, uint32_t process)
{
    struct tally t = {0};
    uint32_t n;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (leaks(&j->facts->b.sockets.v[place[i]], j->map->conn[place[i]].role))
            count(j, place[i], &t);
    }
    if (t.kept >= judge_limit(j, THRESHOLD_close_wait_grow))
        t.before += closed(j, j->facts->b.processes.v[process].pid);
    return t;
}

/* Somebody has them whom we may not see: the kernel shows the sockets to everybody. */
static struct tally tally_hidden(const struct judge *j, uint32_t *out_sample)
{
    struct tally t = {0};
    for (uint32_t i = 0; i < j->map->conns; i++) {
        const struct judge_conn *c = &j->map->conn[i];
        if (c->process != FACTS_NONE || !c->mine ||
            !leaks(&j->facts->b.sockets.v[i], (enum judge_role)c->role))
            continue;
        *out_sample = i;
        count(j, i, &t);
    }
    return t;
}

static struct finding *add(const struct judge *j, const struct tally *t, bool grows)
{
    struct finding *f = finding_add(j->out, RULE_CLOSE_WAIT);
    f->victims = t->kept;
    f->oldest_ms = t->oldest_ms;
    if (2 * t->unanswered > t->kept) /* it may be at work for a peer that has said all */
        finding_weaken(f, CERTAINTY_LIKELY);
    finding_value(f, EVIDENCE_CLOSE_WAIT, t->before, t->now);
    finding_over(f, &j->limits, grows ? THRESHOLD_close_wait_grow : THRESHOLD_close_wait_min);
    finding_value(f, EVIDENCE_EOF_READ, t->eof_read, t->eof_read);
    finding_value(f, EVIDENCE_EOF_UNREAD, t->eof_unread, t->eof_unread);
    finding_value(f, EVIDENCE_REQUEST_UNREAD, t->request_unread, t->request_unread);
    finding_value(f, EVIDENCE_OLDEST_MS, t->oldest_ms, t->oldest_ms);
    return f;
}

/* NULL: these are no leak. */
static struct finding *judge_tally(const struct judge *j, const struct tally *t)
{
    bool grows = t->now > t->before && t->kept >= judge_limit(j, THRESHOLD_close_wait_grow);
    bool old = t->oldest_ms >= judge_limit(j, THRESHOLD_close_wait_age_ms);
    if (old && (grows || t->kept >= judge_limit(j, THRESHOLD_close_wait_min)))
        return add(j, t, grows);
    return NULL;
}

void rule_close_wait(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        if (!judge_is_target(j, b->processes.v[i].pid))
            continue;
        struct tally t = tally(j, i);
        struct finding *f = judge_tally(j, &t);
        if (f)
            judge_name(j, f, i);
    }
    uint32_t sample = 0;
    struct tally t = tally_hidden(j, &sample);
    struct finding *f = judge_tally(j, &t);
    if (!f)
        return;
    char addr[64];
    judge_addr(&b->sockets.v[sample], false, addr);
    finding_subject(f, 0, 0, wr_span_str(addr)); /* the best name there is for its owner */
}
