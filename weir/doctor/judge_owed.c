/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/judge_owed.h"

#include "weir/doctor/judge_listener.h"
#include "weir/doctor/judge_thread.h"

#include <string.h>

static bool shares_listener(const struct facts_look *l, uint32_t pid, uint32_t with)
{
    uint32_t n;
    const struct facts_fd *v = facts_fds(l, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = v[i].inode ? facts_socket_of_inode(l, v[i].inode) : NULL;
        if (s && s->state == FACTS_LISTEN && judge_held_as(l, s->inode, with) >= 0)
            return true;
    }
    return false;
}

uint32_t judge_master(const struct judge *j, uint32_t pid)
{
    const struct facts_look *b = &j->facts->b;
    for (unsigned depth = 0; depth < 8; depth++) {
        const struct facts_process *p = facts_process(b, pid);
        const struct facts_process *up = p ? facts_process(b, p->parent) : NULL;
        if (!up || !judge_is_target(j, up->pid) || up->exe == 0 ||
            strcmp(facts_text(b, up->exe), facts_text(b, p->exe)) != 0 ||
            !shares_listener(b, pid, up->pid))
            return pid;
        pid = up->pid;
    }
    return pid;
}

bool judge_we_owe(const struct judge *j, uint32_t i, uint32_t *out_age_ms)
{
    return j->map->conn[i].role == JUDGE_IN && judge_still(j, i) &&
           judge_debt(&j->facts->b, &j->facts->b.sockets.v[i], JUDGE_IN, out_age_ms) ==
               JUDGE_WE_OWE;
}

static bool same_end(const struct facts_socket *a, const struct facts_socket *b)
{
    return a->family == b->family && a->remote_port == b->remote_port &&
           memcmp(a->remote, b->remote, sizeof a->remote) == 0;
}

static struct owed_peer *peer_of(struct owed *o, const struct facts_socket *s)
{
    for (unsigned i = 0; i < o->peers; i++)
        if (same_end(o->peer[i].sample, s))
            return &o->peer[i];
    if (o->peers == OWED_PEERS)
        return NULL;
    o->peer[o->peers].sample = s;
    return &o->peer[o->peers++];
}

static void count_in(const struct judge *j, uint32_t i, struct owed *o)
{
    uint32_t age = 0;
    uint64_t limit = judge_limit(j, THRESHOLD_owed_age_ms);
    if (!judge_we_owe(j, i, &age) || age < limit)
        return;
    o->ours++;
    o->came_new += age < limit + judge_between_ms(j);
    o->oldest_ms = age > o->oldest_ms ? age : o->oldest_ms;
}

static void count_out(const struct judge *j, uint32_t i, struct owed *o)
{
    uint32_t age = 0;
    const struct facts_socket *s = &j->facts->b.sockets.v[i];
    struct owed_peer *p = peer_of(o, s);
    if (!judge_still(j, i)) {
        o->moving++;
        return;
    }
    bool owes = judge_debt(&j->facts->b, s, JUDGE_OUT, &age) == JUDGE_THEY_OWE;
    owes = owes && age >= judge_limit(j, THRESHOLD_owed_age_ms);
    o->theirs += owes;
    o->idle += !owes;
    if (!p)
        return;
    p->owes += owes;
    p->idle += !owes;
    p->oldest_ms = owes && age > p->oldest_ms ? age : p->oldest_ms;
}

void judge_owed(const struct judge *j, uint32_t master, struct owed *out)
{
    const struct facts_look *b = &j->facts->b;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < b->processes.n; i++) {
        uint32_t n, pid = b->processes.v[i].pid;
        if (!judge_is_target(j, pid) || judge_master(j, pid) != master)
            continue;
        const uint32_t *place = judge_map_of(j->map, i, &n);
        for (uint32_t k = 0; k < n; k++) {
            const struct facts_socket *s = &b->sockets.v[place[k]];
            if (s->proto != FACTS_TCP || s->state != FACTS_ESTABLISHED)
                continue;
            if (j->map->conn[place[k]].role == JUDGE_IN)
                count_in(j, place[k], out);
            else if (j->map->conn[place[k]].role == JUDGE_OUT)
                count_out(j, place[k], out);
        }
    }
}
