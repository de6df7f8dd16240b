/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_work.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- one socket ----------------------------------------------------------------------------------- */
/* A finished handshake that nobody accepted. */
static bool unaccepted(const struct facts_socket *s, const struct judge_conn *c)
{
    return s->inode == 0 && (s->state == FACTS_ESTABLISHED || s->state == FACTS_CLOSE_WAIT) &&
           c->role == JUDGE_IN;
}

static uint64_t ms_or_none(uint32_t ms)
{
    return ms == FACTS_NONE ? FACTS_UNKNOWN : ms;
}

/* Nothing was ever sent on it, so "last sent" counts from the handshake. */
static uint64_t age_in_queue(const struct facts_look *l, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    if (!t || t->last_data_sent_ms == FACTS_NONE)
        return FACTS_UNKNOWN;
    if (t->last_data_recv_ms == FACTS_NONE || t->last_data_sent_ms > t->last_data_recv_ms)
        return t->last_data_sent_ms;
    return t->last_data_recv_ms;
}

static void in_queue(struct top_work *w, const struct facts_socket *s, struct top_program *p)
{
    char who[64];
    uint64_t age = age_in_queue(&w->facts->b, s);
    judge_addr(s, false, who);
    top_older(&w->model->unaccepted, age, who);
    if (p)
        top_older(&p->unaccepted, age, who);
}

static void connection(struct top_work *w, const struct facts_socket *s, enum judge_role role,
                       struct top_program *p)
{
    const struct facts_tcp *t = facts_tcp(&w->facts->b, s);
    char who[64];
    uint32_t age = 0;
    judge_addr(s, true, who);
    if (role == JUDGE_IN && s->rqueue > (s->state == FACTS_CLOSE_WAIT)) {
        uint64_t unread = t ? ms_or_none(t->last_data_recv_ms) : FACTS_UNKNOWN;
        top_older(&w->model->unread, unread, who);
        top_older(&p->unread, unread, who);
    }
    switch (judge_debt(&w->facts->b, s, role, &age)) {
    case JUDGE_WE_OWE:
        top_older(&w->model->owed, age, who);
        top_older(&p->owed, age, who);
        break;
    case JUDGE_THEY_OWE:
        top_older(&w->model->upstream, age, who);
        break;
    case JUDGE_QUIET:
        break;
    }
}

/* ---- listeners -------------------------------------------------------------------------------------- */
static struct top_program *program_of(const struct top_work *w, const struct top_member *m)
{
    return m ? &w->model->programs.v[m->program] : NULL;
}

/* Whose listener it is; NULL: of nobody who is shown. */
static struct top_program *program_at(const struct top_work *w, uint32_t place)
{
    struct top_program *p = program_of(w, top_holder(w, place));
    uint16_t port = w->facts->b.sockets.v[place].local_port;
    for (uint32_t i = 0; !p && i < w->model->programs.n; i++)
        if (w->model->programs.v[i].hidden == port)
            p = &w->model->programs.v[i];
    return p;
}

static void name_owner(const struct top_work *w, const struct facts_socket *s,
                       struct top_listener *out)
{
    const struct facts_look *l = &w->facts->b;
    const struct facts_fd *fd = facts_owner(l, s->inode, 0);
    const struct facts_process *p = fd ? facts_process(l, fd->pid) : NULL;
    while (facts_owner(l, s->inode, out->owners))
        out->owners++;
    if (p)
        (void)snprintf(out->owner, sizeof out->owner, "%" PRIu32 " %.16s", p->pid, p->comm);
    else
        (void)snprintf(out->owner, sizeof out->owner, "uid %" PRIu32, s->uid);
}

static void listen_of(struct top_program *p, const struct facts_socket *s)
{
    char port[16];
    (void)snprintf(port, sizeof port, ":%u", s->local_port);
    const char *there = strstr(p->listen, port);
    size_t n = strlen(p->listen);
    if (there && (there[strlen(port)] == '\0' || there[strlen(port)] == ' '))
        return;
    if (n + strlen(port) + 2 < sizeof p->listen)
        (void)snprintf(p->listen + n, sizeof p->listen - n, "%s%s", n ? " " : "", port);
}

/* The queue of a program is its fullest. */
static void queue_of(const struct top_work *w, const struct facts_socket *s,
                     struct top_program *p)
{
    const struct facts_look *l = &w->facts->b;
    if (s->rqueue * (p->backlog + 1) >= p->queue * ((uint64_t)s->wqueue + 1)) {
        p->queue = s->rqueue;
        p->backlog = s->wqueue;
    }
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(l, s->inode, i)); i++) {
        struct top_member *m = top_member(w, fd->pid);
        if (m && s->rqueue > m->queue)
            m->queue = s->rqueue;
    }
}

static int listener(struct top_work *w, uint32_t place)
{
    const struct facts_socket *s = &w->facts->b.sockets.v[place];
    const struct facts_socket *before = facts_socket(&w->facts->a, s->cookie);
    struct top_program *p = program_at(w, place);
    if (!p && !w->model->host)
        return 0;
    struct top_listener row = {.cookie = s->cookie,
                               .waiting = s->rqueue,
                               .backlog = s->wqueue,
                               .drops = s->drops == FACTS_NONE ? FACTS_UNKNOWN
                                        : before && before->drops != FACTS_NONE &&
                                                s->drops >= before->drops
                                            ? s->drops - before->drops
                                            : 0};
    judge_addr(s, false, row.name);
    name_owner(w, s, &row);
    top_past_peak(w->past, &row);
    if (p) {
        listen_of(p, s);
        queue_of(w, s, p);
    }
    if (row.drops != FACTS_UNKNOWN)
        w->model->drops += row.drops;
    if (w->model->lists.n == 0 || row.waiting * (w->model->queue.backlog + 1) >
                                      w->model->queue.waiting * (row.backlog + 1))
        w->model->queue = row;
    return FACTS_ADD(&w->model->lists, w->heap, &row);
}

static int listeners(struct top_work *w)
{
    for (uint32_t i = 0; i < w->map.conns; i++) {
        int err = w->map.conn[i].role == JUDGE_LISTENER ? listener(w, i) : 0;
        if (err)
            return err;
    }
    w->model->listeners = w->model->lists.n;
    return 0;
}

/* Whose queue is it in? The listener of that very address, else the one of all. */
static struct top_listener *listener_row(const struct top_work *w, const struct facts_socket *s)
{
    const struct facts_look *b = &w->facts->b;
    struct top_listener *best = NULL;
    for (uint32_t i = 0; i < w->model->lists.n; i++) {
        struct top_listener *row = &w->model->lists.v[i];
        const struct facts_socket *x = facts_socket(b, row->cookie);
        if (!x || x->local_port != s->local_port)
            continue;
        if (!best || (x->rqueue > 0 && best->waiting == 0) ||
            memcmp(x->local, s->local, 16) == 0)
            best = row;
    }
    return best;
}

/* False: it waits at a program that is not shown. */
static bool wait_for_accept(struct top_work *w, const struct facts_socket *s)
{
    struct top_listener *row = listener_row(w, s);
    if (!row)
        return false;
    uint64_t age = age_in_queue(&w->facts->b, s);
    if (age != FACTS_UNKNOWN && age > row->oldest_ms)
        row->oldest_ms = age;
    const struct facts_socket *x = facts_socket(&w->facts->b, row->cookie);
    in_queue(w, s, x ? program_at(w, (uint32_t)(x - w->facts->b.sockets.v)) : NULL);
    return true;
}

/* ---- all ---------------------------------------------------------------------------------------------- */
/* Is it one of ours? What no process holds belongs to whom its peer belongs to. */
static bool shown(const struct top_work *w, const struct facts_socket *s,
                  const struct judge_conn *c, const struct top_member *m)
{
    return m || w->model->host ||
           (s->inode == 0 && c->peer != FACTS_NONE && w->map.peer[c->peer].mine);
}

static void one(struct top_work *w, uint32_t place)
{
    const struct facts_socket *s = &w->facts->b.sockets.v[place];
    const struct judge_conn *c = &w->map.conn[place];
    struct top_member *m = top_holder(w, place);
    struct top_model *model = w->model;
    bool waits = unaccepted(s, c) && wait_for_accept(w, s);
    if (!waits && !shown(w, s, c, m))
        return;
    model->state[s->state & 15]++;
    model->kept += s->state == FACTS_CLOSE_WAIT && s->inode != 0;
    if (!m || s->state == FACTS_LISTEN)
        return;
    m->conns++;
    model->open++;
    program_of(w, m)->conns++;
    connection(w, s, (enum judge_role)c->role, program_of(w, m));
}

/* Descriptors of sockets that no dump shows, unless they are of another kind than TCP and UDP. */
static uint64_t bare(const struct top_work *w)
{
    const struct facts_look *b = &w->facts->b;
    uint64_t n = 0;
    for (uint32_t i = 0; b->unixes.n && i < b->fds.n; i++) {
        const struct facts_fd *fd = &b->fds.v[i];
        n += fd->kind == FACTS_FD_SOCKET && top_member(w, fd->pid) &&
             !facts_socket_of_inode(b, fd->inode) && !facts_unix(b, fd->inode);
    }
    return n;
}

int top_sockets(struct top_work *w)
{
    int err = listeners(w);
    const struct facts_look *b = &w->facts->b;
    for (uint32_t i = 0; !err && i < b->sockets.n; i++)
        if (b->sockets.v[i].proto == FACTS_TCP)
            one(w, i);
    w->model->bare = bare(w);
    return err;
}
