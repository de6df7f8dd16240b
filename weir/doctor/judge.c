/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/judge.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void (*const rules[])(const struct judge *) = {
    rule_et_listener, rule_accept_overflow, rule_stopped,
    rule_fd_limit,    rule_close_wait,      rule_unaccepted,
};

void judge_all(const struct facts *f, const struct judge_target *t, struct findings *out)
{
    struct judge j = {.facts = f, .target = t, .out = out};
    thresholds_init(&j.limits);
    findings_init(out);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rules[i](&j);
    findings_settle(out);
}

bool judge_is_target(const struct judge *j, uint32_t pid)
{
    for (uint32_t i = 0; i < j->target->n_pids; i++) {
        if (j->target->pids[i] == pid)
            return true;
    }
    return j->target->n_pids == 0;
}

bool judge_owns(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_fd *fd = facts_owner(&j->facts->b, s->inode, 0);
    return j->target->n_pids == 0 || (fd && judge_is_target(j, fd->pid));
}

uint64_t judge_limit(const struct judge *j, enum threshold_name name)
{
    return j->limits.value[name];
}

void judge_addr(const struct facts_socket *s, bool remote, char out[64])
{
    const uint8_t *a = remote ? s->remote : s->local;
    unsigned port = remote ? s->remote_port : s->local_port;
    if (s->family == AF_INET) {
        (void)snprintf(out, 64, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], port);
        return;
    }
    char groups[48];
    size_t n = 0;
    for (unsigned i = 0; i < 16; i += 2)
        n += (size_t)snprintf(groups + n, sizeof groups - n, "%s%x", i ? ":" : "",
                              (unsigned)(a[i] << 8 | a[i + 1]));
    (void)snprintf(out, 64, "[%s]:%u", groups, port);
}

struct wr_span judge_comm(const char comm[16])
{
    return wr_span(comm, strnlen(comm, 16));
}

const struct facts_socket *judge_before(const struct judge *j, const struct facts_socket *s)
{
    return facts_socket(&j->facts->a, s->cookie);
}

/* A listener on all addresses has a queue of connections to each of them. */
static bool belongs(const struct facts_socket *listener, const struct facts_socket *s)
{
    static const uint8_t any[16];
    if (s->proto != FACTS_TCP || s->local_port != listener->local_port || s->inode != 0)
        return false;
    if (s->state != FACTS_ESTABLISHED && s->state != FACTS_CLOSE_WAIT)
        return false;
    return memcmp(listener->local, any, 16) == 0 ||
           (listener->family == s->family && memcmp(listener->local, s->local, 16) == 0);
}

static uint64_t age_ms(const struct facts_look *l, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    return t && t->last_data_recv_ms != FACTS_NONE ? t->last_data_recv_ms : 0;
}

struct judge_queue judge_queue(const struct judge *j, const struct facts_socket *listener)
{
    struct judge_queue q = {0};
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (!belongs(listener, s))
            continue;
        const struct facts_socket *before = judge_before(j, s);
        if (!before || before->inode != 0 || before->state == FACTS_SYN_RECV)
            continue;
        q.waiting++;
        q.gave_up += s->state == FACTS_CLOSE_WAIT;
        uint64_t age = age_ms(b, s);
        q.oldest_ms = age > q.oldest_ms ? age : q.oldest_ms;
    }
    return q;
}
