/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Unix sockets: messages in order, descriptors riding on them.
 *
 * A stream is a list of messages whose borders a reader does not see, except that one read never crosses
 * a message that carries descriptors. What a message costs is its size plus a header, as in Linux, so
 * that many small ones fill a buffer early.
 */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define SEND_BUFFER 212992u
#define HEADER_COST 768u
#define MAX_RIGHTS  253u
#define QUEUE_MAX   512u /* datagrams; max_dgram_qlen */

struct unix_message {
    struct sim_list node;
    size_t n, at;
    size_t cost;
    struct sim_file **rights;
    unsigned right_count;
    struct sim_unix *from; /* to give back the cost; NULL once it is gone */
    char data[];
};

struct sim_unix {
    struct sim_file f;
    int type;
    struct sim_list messages; /* for us */
    unsigned message_count;
    size_t sent_cost; /* ours, not yet read */
    struct sim_unix *other;
    bool shut_wr, got_end, reset, listens, bound;
    int err;
    struct sim_list of_bound;
    char path[108];
    struct sim_list queue, in_queue;
    unsigned queued, backlog;
};

static struct sim_unix *unix_of(struct sim_file *f)
{
    return wr_container_of(f, struct sim_unix, f);
}

static bool unix_writable(const struct sim_unix *u)
{
    return u->sent_cost * 4 <= SEND_BUFFER;
}

static uint32_t unix_poll(struct sim_file *f)
{
    struct sim_unix *u = unix_of(f);
    uint32_t m = u->err ? EPOLLERR : 0;
    if (u->listens)
        return m | (u->queued ? EPOLLIN | EPOLLRDNORM : 0u);
    if (u->got_end && u->shut_wr)
        m |= EPOLLHUP;
    if (u->got_end)
        m |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
    if (!sim_list_empty(&u->messages))
        m |= EPOLLIN | EPOLLRDNORM;
    if (!u->other && !u->got_end && u->type != SOCK_DGRAM)
        m |= EPOLLHUP;
    if (unix_writable(u))
        m |= EPOLLOUT | EPOLLWRNORM;
    return m;
}

static void message_free(struct unix_message *m)
{
    sim_list_del(&m->node);
    for (unsigned i = 0; i < m->right_count; i++)
        if (m->rights[i])
            sim_file_drop(m->rights[i]);
    struct sim_unix *from = m->from;
    if (from) {
        from->sent_cost -= m->cost;
        if (unix_writable(from))
            sim_wake(&from->f, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
    }
    free(m->rights);
    free(m);
}

/* ---- descriptors on the way ------------------------------------------------------------------------- */
static int rights_collect(const struct msghdr *h, struct sim_file **out, unsigned *count)
{
    *count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c;
         c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            return -EINVAL;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            struct sim_file *f = sim_fd_get(fd);
            if (!f || *count == MAX_RIGHTS)
                return f ? -EINVAL : -EBADF;
            out[(*count)++] = f;
        }
    }
    return 0;
}

/* Installs what fits into the control buffer and the table; the rest is closed and MSG_CTRUNC says so. */
static void rights_deliver(struct unix_message *m, struct msghdr *h)
{
    size_t room = h->msg_control && h->msg_controllen > CMSG_LEN(0)
                      ? (h->msg_controllen - CMSG_LEN(0)) / sizeof(int)
                      : 0;
    unsigned n = 0;
    struct cmsghdr *c = h->msg_control;
    for (unsigned i = 0; i < m->right_count; i++) {
        struct sim_file *f = m->rights[i];
        m->rights[i] = NULL;
        int fd = -EMFILE;
        if (n == i && n < room) {
            fd = sim_fd_new(f); /* drops it when the table is full */
            if (fd >= 0)
                memcpy(CMSG_DATA(c) + n++ * sizeof fd, &fd, sizeof fd);
        } else {
            sim_file_drop(f);
        }
        if (fd < 0)
            h->msg_flags |= MSG_CTRUNC;
    }
    h->msg_controllen = 0;
    if (n > 0) {
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        h->msg_controllen = CMSG_SPACE(n * sizeof(int));
    }
}

/* ---- messages --------------------------------------------------------------------------------------- */
static struct sim_unix *bound_find(const char *path)
{
    SIM_EACH_SAFE(&sim_world->bound_unix, it, next)
    {
        struct sim_unix *u = wr_container_of(it, struct sim_unix, of_bound);
        if (strcmp(u->path, path) == 0)
            return u;
    }
    return NULL;
}

static ssize_t unix_send(struct sim_file *f, const struct msghdr *h, int flags)
{
    struct sim_unix *u = unix_of(f), *to = u->other;
    (void)flags;
    if (h->msg_name && u->type == SOCK_DGRAM) {
        to = bound_find(((const struct sockaddr_un *)h->msg_name)->sun_path);
        if (!to)
            return -ECONNREFUSED;
    }
    if (u->shut_wr || (!to && u->got_end))
        return u->type == SOCK_DGRAM && !u->shut_wr ? -ECONNREFUSED : -EPIPE;
    if (!to)
        return u->type == SOCK_DGRAM ? -ENOTCONN : -ENOTCONN;
    size_t want = sim_iov_size(h->msg_iov, h->msg_iovlen);
    bool stream = u->type == SOCK_STREAM;
    if (!stream && want + HEADER_COST > SEND_BUFFER)
        return -EMSGSIZE;
    if (stream && want == 0)
        return 0;
    size_t room = u->sent_cost < SEND_BUFFER ? SEND_BUFFER - u->sent_cost : 0;
    if (room < HEADER_COST + 1 || (!stream && room < want + HEADER_COST) ||
        (!stream && to->message_count > QUEUE_MAX))
        return -EAGAIN;
    size_t n = stream && want > room - HEADER_COST ? room - HEADER_COST : want;
    struct sim_file *rights[MAX_RIGHTS];
    unsigned count = 0;
    if (h->msg_control && h->msg_controllen) {
        int err = rights_collect(h, rights, &count);
        if (err < 0)
            return err;
    }
    struct unix_message *m = calloc(1, sizeof *m + n);
    WR_ASSERT(m);
    m->n = n;
    m->cost = n + HEADER_COST;
    m->from = u;
    u->sent_cost += m->cost;
    sim_iov_get(h->msg_iov, h->msg_iovlen, 0, m->data, n);
    if (count) {
        m->rights = calloc(count, sizeof *m->rights);
        WR_ASSERT(m->rights);
        m->right_count = count;
        for (unsigned i = 0; i < count; i++) {
            m->rights[i] = rights[i];
            rights[i]->refs++;
            sim_served(rights[i], -1);
        }
    }
    sim_list_add(&to->messages, &m->node);
    to->message_count++;
    sim_wake(&to->f, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
    return (ssize_t)n;
}

static ssize_t stream_recv(struct sim_unix *u, struct msghdr *h, bool peek)
{
    size_t want = sim_iov_size(h->msg_iov, h->msg_iovlen), got = 0;
    bool rights = false;
    SIM_EACH_SAFE(&u->messages, it, next)
    {
        struct unix_message *m = wr_container_of(it, struct unix_message, node);
        if (got == want || (got > 0 && m->right_count > 0))
            break;
        size_t piece = m->n - m->at < want - got ? m->n - m->at : want - got;
        sim_iov_put(h->msg_iov, h->msg_iovlen, got, m->data + m->at, piece);
        got += piece;
        if (peek)
            continue;
        if (m->right_count > 0) {
            rights_deliver(m, h);
            m->right_count = 0;
            rights = true;
        }
        m->at += piece;
        if (m->at == m->n) {
            u->message_count--;
            message_free(m);
        }
        if (rights)
            break;
    }
    if (!rights)
        h->msg_controllen = 0;
    return (ssize_t)got;
}

static ssize_t packet_recv(struct sim_unix *u, struct msghdr *h, bool peek)
{
    struct unix_message *m = wr_container_of(u->messages.next, struct unix_message, node);
    size_t want = sim_iov_size(h->msg_iov, h->msg_iovlen), got = want < m->n ? want : m->n;
    sim_iov_put(h->msg_iov, h->msg_iovlen, 0, m->data, got);
    if (got < m->n)
        h->msg_flags |= MSG_TRUNC;
    if (peek)
        return (ssize_t)got;
    if (m->right_count > 0)
        rights_deliver(m, h);
    else
        h->msg_controllen = 0;
    m->right_count = 0;
    u->message_count--;
    message_free(m);
    return (ssize_t)got;
}

static ssize_t unix_recv(struct sim_file *f, struct msghdr *h, int flags)
{
    struct sim_unix *u = unix_of(f);
    h->msg_flags = 0;
    if (!sim_list_empty(&u->messages))
        return u->type == SOCK_STREAM ? stream_recv(u, h, (flags & MSG_PEEK) != 0)
                                      : packet_recv(u, h, (flags & MSG_PEEK) != 0);
    h->msg_controllen = 0;
    if (u->reset) {
        u->reset = false;
        u->err = 0;
        return -ECONNRESET;
    }
    if (u->got_end)
        return 0;
    if (!u->other && u->type != SOCK_DGRAM)
        return u->listens ? -EINVAL : -ENOTCONN;
    return -EAGAIN;
}

/* ---- life ------------------------------------------------------------------------------------------- */
static void forget_sender(struct sim_unix *gone, struct sim_list *messages)
{
    SIM_EACH_SAFE(messages, it, next)
    {
        struct unix_message *m = wr_container_of(it, struct unix_message, node);
        if (m->from == gone)
            m->from = NULL;
    }
}

static void unix_release(struct sim_file *f)
{
    struct sim_unix *u = unix_of(f);
    bool unread = !sim_list_empty(&u->messages);
    while (!sim_list_empty(&u->messages))
        message_free(wr_container_of(u->messages.next, struct unix_message, node));
    if (u->other) {
        struct sim_unix *o = u->other;
        forget_sender(u, &o->messages);
        o->other = NULL;
        if (u->type != SOCK_DGRAM) {
            o->got_end = true;
            o->shut_wr = true;
            if (unread) {
                o->reset = true;
                o->err = ECONNRESET;
            }
        }
        sim_wake(&o->f, 0);
    }
    SIM_EACH_SAFE(&sim_world->bound_unix, it, next)
    {
        forget_sender(u, &wr_container_of(it, struct sim_unix, of_bound)->messages);
    }
    while (!sim_list_empty(&u->queue)) {
        struct sim_unix *c = wr_container_of(u->queue.next, struct sim_unix, in_queue);
        sim_list_del(&c->in_queue);
        sim_world->files_open++;
        sim_file_drop(&c->f);
    }
    sim_list_del(&u->of_bound);
    sim_list_del(&u->in_queue);
    free(u);
}

struct sim_file *sim_unix_new(int type)
{
    static const struct sim_file_ops ops = {unix_poll, unix_release, unix_recv, unix_send};
    struct sim_unix *u = calloc(1, sizeof *u);
    WR_ASSERT(u);
    sim_file_init(&u->f, SIM_UNIX, &ops);
    u->type = type;
    sim_list_init(&u->messages);
    sim_list_init(&u->of_bound);
    sim_list_init(&u->queue);
    sim_list_init(&u->in_queue);
    return &u->f;
}

int sim_unix_pair(int type, struct sim_file *out[2])
{
    out[0] = sim_unix_new(type);
    out[1] = sim_unix_new(type);
    unix_of(out[0])->other = unix_of(out[1]);
    unix_of(out[1])->other = unix_of(out[0]);
    return 0;
}

static int unix_bind(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_unix *u = unix_of(f);
    const struct sockaddr_un *un = (const void *)sa;
    if (n <= sizeof sa->sa_family || u->bound)
        return -EINVAL;
    if (bound_find(un->sun_path))
        return -EADDRINUSE;
    snprintf(u->path, sizeof u->path, "%s", un->sun_path);
    u->bound = true;
    sim_list_add(&sim_world->bound_unix, &u->of_bound);
    return 0;
}

static int unix_listen(struct sim_file *f, int backlog)
{
    struct sim_unix *u = unix_of(f);
    if (!u->bound)
        return -EINVAL;
    u->listens = true;
    u->backlog = backlog < 0 ? 4096 : (unsigned)backlog;
    return 0;
}

static int unix_accept(struct sim_file *f, struct sim_file **out)
{
    struct sim_unix *u = unix_of(f);
    if (!u->listens)
        return -EINVAL;
    if (sim_list_empty(&u->queue))
        return -EAGAIN;
    struct sim_unix *c = wr_container_of(u->queue.next, struct sim_unix, in_queue);
    sim_list_del(&c->in_queue);
    u->queued--;
    sim_world->files_open++;
    *out = &c->f;
    return 0;
}

static int unix_connect(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_unix *u = unix_of(f);
    (void)n;
    struct sim_unix *l = bound_find(((const struct sockaddr_un *)(const void *)sa)->sun_path);
    if (!l)
        return -ENOENT;
    if (u->type == SOCK_DGRAM) {
        u->other = l;
        return 0;
    }
    if (u->other)
        return -EISCONN;
    if (!l->listens)
        return -ECONNREFUSED;
    if (l->queued > l->backlog)
        return -EAGAIN;
    struct sim_unix *c = unix_of(sim_unix_new(u->type));
    sim_world->files_open--;
    c->other = u;
    u->other = c;
    sim_list_add(&l->queue, &c->in_queue);
    l->queued++;
    sim_wake(&l->f, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
    return 0;
}

static int unix_shutdown(struct sim_file *f, int how)
{
    struct sim_unix *u = unix_of(f);
    if (!u->other)
        return u->got_end ? 0 : -ENOTCONN;
    if (how != SHUT_RD) {
        u->shut_wr = true;
        u->other->got_end = true;
    }
    if (how != SHUT_WR) {
        u->got_end = true;
        u->other->shut_wr = true;
    }
    sim_wake(&u->f, 0);
    sim_wake(&u->other->f, 0);
    return 0;
}

static int unix_getopt(struct sim_file *f, int level, int opt, void *val, socklen_t *n)
{
    struct sim_unix *u = unix_of(f);
    int value = 0;
    if (level == SOL_SOCKET && opt == SO_ERROR) {
        value = u->err;
        u->err = 0;
        u->reset = false;
    } else if (level == SOL_SOCKET) {
        value = opt == SO_TYPE         ? u->type
                : opt == SO_DOMAIN     ? AF_UNIX
                : opt == SO_ACCEPTCONN ? u->listens
                : opt == SO_SNDBUF     ? (int)SEND_BUFFER
                                       : 0;
    }
    return sim_opt_int(val, n, value);
}

static int unix_name(struct sim_file *f, bool peer, struct sockaddr *sa, socklen_t *n)
{
    struct sim_unix *u = unix_of(f);
    if (peer && !u->other)
        return -ENOTCONN;
    const char *path = peer ? u->other->path : u->path;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (path[0] ? strlen(path) + 1 : 0));
    memcpy(sa, &un, *n < size ? *n : size);
    *n = size;
    return 0;
}

const struct sim_sock_ops sim_unix_sock = {unix_bind,    unix_listen,   unix_accept,
                                           unix_connect, unix_shutdown, unix_getopt,
                                           NULL,         unix_name};

size_t sim_unix_room(struct sim_file *f)
{
    size_t cost = unix_of(f)->sent_cost + HEADER_COST;
    return cost < SEND_BUFFER ? SEND_BUFFER - cost : 0;
}
