/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/listen.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mutant.h"
#include "libweir/io/loop.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BACKLOG        4096
#define BURST          64
#define READD_EVERY    256
#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 160
#define CALM_MS        1000 /* a shortage is over when it did not come back for so long */

/*
 * Shortage, per listener:
 *
 *              accept: EMFILE and kin                  a timer, or a connection closed
 *   accepting ------------------------> pausing ------------------------------------> trying
 *       ^                                  ^      EMFILE again: the back-off doubles     |
 *       |                                  `--------------------------------------------'|
 *       `-------------------------------------------------------------------------------'
 *                                  CALM_MS without a shortage
 */
struct wr_listener {
    struct wr_io io;
    struct wr_loop *loop;
    struct wr_listen_options options;
    wr_accept_fn *on_accept;
    void *arg;
    struct wr_addr addr;
    struct wr_listen_stats stats;
    struct wr_timer timer; /* end of a back-off, or of the calm after one */
    struct wr_task drain;  /* manual: what waited while paused, nobody will announce again */
    struct wr_free_later later;
    uint64_t short_since_ms, shed_before;
    int fd, reserve_fd;
    unsigned backlog, paused, backoff_ms, since_add;
    bool in_shortage, closed;
};

/* ---- the socket ---------------------------------------------------------------------------------------- */

static int set_options(int fd, const struct wr_listen_options *o, int family)
{
    int err = 0;
    if (family != AF_UNIX) {
        (void)wr_sock_set(fd, WR_LIT("reuseaddr"), 1);
        if (o->reuseport)
            err = wr_sock_set(fd, WR_LIT("reuseport"), 1);
        if (!err && o->freebind)
            err = wr_sock_set(fd, WR_LIT("freebind"), 1);
        if (!err && family == AF_INET6)
            err = wr_sock_set(fd, WR_LIT("v6only"), o->v6only);
        if (!err && o->defer_accept_s)
            err = wr_sock_set(fd, WR_LIT("defer_accept_s"), (int)o->defer_accept_s);
        if (!err && o->congestion.n)
            err = wr_sock_set_congestion(fd, o->congestion);
        if (!o->delay)
            (void)wr_sock_set(fd, WR_LIT("nodelay"), 1);
    }
    if (!err && o->rcvbuf)
        err = wr_sock_set(fd, WR_LIT("rcvbuf"), o->rcvbuf);
    if (!err && o->sndbuf)
        err = wr_sock_set(fd, WR_LIT("sndbuf"), o->sndbuf);
    return err;
}

/* A socket file without a listener is left from a process that is gone. Any other file refuses a connect just
 * the same, and is somebody's data. */
static bool nobody_listens(const char *path, const struct sockaddr *sa, socklen_t n)
{
    struct stat st;
    if (wr_os_stat(path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = wr_os_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    int err = wr_os_connect(fd, sa, n);
    (void)wr_os_close(fd);
    return err == -ECONNREFUSED;
}

static int bind_to(int fd, const struct wr_addr *a)
{
    struct sockaddr_storage sa;
    socklen_t n;
    int err = wr_addr_to_sockaddr(a, &sa, &n);
    if (err)
        return err;
    err = wr_os_bind(fd, (struct sockaddr *)&sa, n);
    if (err != -EADDRINUSE || a->kind != WR_ADDR_UNIX || !a->name[0])
        return err;
    char path[WR_ADDR_NAME_MAX + 1] = "";
    memcpy(path, a->name, a->name_len);
    if (!nobody_listens(path, (struct sockaddr *)&sa, n))
        return err;
    (void)wr_os_unlink(path);
    return wr_os_bind(fd, (struct sockaddr *)&sa, n);
}

static unsigned somaxconn(void)
{
    char buf[16];
    unsigned v = 0;
    int fd = wr_os_open("/proc/sys/net/core/somaxconn", O_RDONLY, 0);
    if (fd < 0)
        return UINT32_MAX;
    ssize_t n = wr_os_read(fd, buf, sizeof buf);
    (void)wr_os_close(fd);
    for (ssize_t i = 0; i < n && buf[i] >= '0' && buf[i] <= '9' && v < 100000000; i++)
        v = v * 10 + (unsigned)(buf[i] - '0');
    return v ? v : UINT32_MAX;
}

/* What the kernel granted: TCP says it itself, for the others it is clipped to somaxconn. */
static unsigned granted_backlog(int fd, unsigned wanted)
{
    struct wr_sock_info info;
    if (wr_sock_info(fd, &info) == 0 && info.backlog_max)
        return info.backlog_max;
    unsigned max = somaxconn();
    return wanted < max ? wanted : max;
}

static int make_socket(const struct wr_listen_options *o, const struct wr_addr *addr,
                       int *out_fd)
{
    int family = wr_addr_family(addr);
    int fd = wr_os_socket(family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    int err = set_options(fd, o, family);
    if (!err)
        err = bind_to(fd, addr);
    if (err) {
        (void)wr_os_close(fd);
        return err;
    }
    *out_fd = fd;
    return 0;
}

static bool is_any_v6(const struct wr_addr *a)
{
    static const uint8_t any[16];
    return a->kind == WR_ADDR_V6 && memcmp(a->v6, any, sizeof any) == 0;
}

/* Somebody else has opened it and chosen the length of its queue. */
static bool listens(int fd)
{
    int value = 0;
    socklen_t n = sizeof value;
    return wr_os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &n) == 0 && value;
}

static int adopt(const struct wr_listen_options *o, int *out_fd)
{
    int type = 0, fd = o->addr.fd;
    socklen_t n = sizeof type;
    int err = wr_os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n);
    if (!err && type != SOCK_STREAM)
        err = -EPROTOTYPE;
    if (!err)
        err = wr_os_set_nonblocking(fd, true);
    if (err)
        return err;
    if (!o->delay)
        (void)wr_sock_set(fd, WR_LIT("nodelay"), 1);
    if (o->defer_accept_s)
        (void)wr_sock_set(fd, WR_LIT("defer_accept_s"), (int)o->defer_accept_s);
    *out_fd = fd;
    return 0;
}

int wr_listen_socket(const struct wr_listen_options *o, int *out_fd, unsigned *out_backlog)
{
    unsigned backlog = o->backlog ? o->backlog : BACKLOG;
    int fd = -1, err;
    if (o->addr.kind == WR_ADDR_FD) {
        err = adopt(o, &fd);
    } else {
        err = make_socket(o, &o->addr, &fd);
        if (err == -EAFNOSUPPORT && is_any_v6(&o->addr) && !o->v6only) {
            struct wr_addr v4 = wr_addr_v4((const uint8_t[4]){0}, o->addr.port);
            err = make_socket(o, &v4, &fd); /* a kernel without v6 */
        }
    }
    if (err)
        return err;
    if (o->backlog || !listens(fd))
        err = wr_os_listen(fd, (int)backlog);
    if (err) {
        if (o->addr.kind != WR_ADDR_FD)
            (void)wr_os_close(fd);
        return err;
    }
    *out_fd = fd;
    *out_backlog = granted_backlog(fd, backlog);
    return 0;
}

/* ---- registration -------------------------------------------------------------------------------------- */

static void on_readable(struct wr_io *io, uint32_t events);
static void begin_shortage(struct wr_listener *l, int err);

static void notice(struct wr_listener *l, const struct wr_listen_notice *n)
{
    if (l->options.on_notice)
        l->options.on_notice(l, n, l->arg);
}

static int start(struct wr_listener *l)
{
    unsigned kind = WR_IO_LISTEN | (l->options.exclusive ? WR_IO_EXCLUSIVE : 0);
    l->since_add = 0;
    if (l->options.manual) {
        wr_loop_at_turn_end(l->loop, &l->drain);
        return 0;
    }
    return wr_io_is_open(&l->io) ? 0 : wr_io_open(l->loop, &l->io, l->fd, kind, on_readable);
}

static void stop(struct wr_listener *l)
{
    if (wr_io_is_open(&l->io))
        (void)!wr_io_detach(&l->io);
}

/* An exclusive wait wakes whoever stands first in the kernel's queue, so the one that registered last
 * would get most of the connections: it goes to the queue's other end from time to time. */
static void take_turns(struct wr_listener *l, unsigned accepted)
{
    l->since_add += accepted;
    if (!l->options.exclusive || l->since_add < l->options.readd_every ||
        !wr_io_is_open(&l->io))
        return;
    stop(l);
    int err = start(l);
    if (err)
        begin_shortage(l, err);
}

void wr_listener_pause(struct wr_listener *l, enum wr_pause_reason why)
{
    l->paused |= why;
    stop(l);
}

void wr_listener_resume(struct wr_listener *l, enum wr_pause_reason why)
{
    if (!(l->paused & why))
        return;
    l->paused &= ~(unsigned)why;
    if (why == WR_PAUSE_SHORTAGE) {
        l->backoff_ms = 0; /* a descriptor became free */
        wr_loop_timer_arm(l->loop, &l->timer, CALM_MS);
    }
    if (l->paused)
        return;
    int err = start(l);
    if (err)
        begin_shortage(l, err);
}

/* ---- shortage ------------------------------------------------------------------------------------------ */

static void open_reserve(struct wr_listener *l)
{
    if (l->reserve_fd < 0)
        l->reserve_fd = wr_os_open("/dev/null", O_RDONLY, 0);
}

static void begin_shortage(struct wr_listener *l, int err)
{
    if (!l->in_shortage) {
        l->in_shortage = true;
        l->short_since_ms = wr_loop_now_ms(l->loop);
        l->backoff_ms = 0;
        notice(l, &(struct wr_listen_notice){.kind = WR_LISTEN_SHORTAGE, .err = err});
        if (l->closed)
            return;
    }
    l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (l->backoff_ms > BACKOFF_MAX_MS)
        l->backoff_ms = BACKOFF_MAX_MS;
    l->stats.pauses++;
    wr_listener_pause(l, WR_PAUSE_SHORTAGE);
    wr_loop_timer_arm(l->loop, &l->timer, l->backoff_ms);
}

static void on_timer(struct wr_timer *t)
{
    struct wr_listener *l = wr_container_of(t, struct wr_listener, timer);
    open_reserve(l);
    if (l->paused & WR_PAUSE_SHORTAGE) {
        unsigned backoff_ms = l->backoff_ms;
        wr_listener_resume(l, WR_PAUSE_SHORTAGE);
        if (l->in_shortage && !(l->paused & WR_PAUSE_SHORTAGE))
            l->backoff_ms = backoff_ms; /* only a guess that one is free: keep doubling */
        return;
    }
    if (l->reserve_fd < 0) { /* still none to spare: not over yet */
        wr_loop_timer_arm(l->loop, &l->timer, CALM_MS);
        return;
    }
    l->in_shortage = false;
    notice(l, &(struct wr_listen_notice){.kind = WR_LISTEN_RECOVERED,
                                         .shed = l->stats.shed - l->shed_before,
                                         .lasted_ms =
                                             wr_loop_now_ms(l->loop) - l->short_since_ms});
}

/* Gives the reserve for the first connection in the queue and ends that one. False: nothing was shed,
 * because the queue is empty or somebody else took the descriptor. */
static bool shed_one(struct wr_listener *l)
{
    if (l->reserve_fd < 0)
        return false;
    (void)wr_os_close(l->reserve_fd);
    l->reserve_fd = -1;
    int fd = wr_os_accept(l->fd, NULL, NULL);
    if (fd >= 0) {
        l->stats.shed++;
        if (l->options.on_shed)
            l->options.on_shed(l, fd, l->arg);
        else
            (void)wr_sock_reset_on_close(fd);
        (void)wr_os_close(fd);
    }
    open_reserve(l);
    return fd >= 0;
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

static bool peer_left(int err)
{
    switch (-err) { /* accept(2): these belong to the connection, not to us */
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static void deliver(struct wr_listener *l, int fd, const struct sockaddr_storage *sa,
                    socklen_t n)
{
    l->stats.accepted++;
    if (l->options.peer_unwanted) {
        l->on_accept(l, fd, NULL, l->arg);
        return;
    }
    struct wr_addr peer = {0};
    (void)!wr_addr_from_sockaddr((const struct sockaddr *)sa, n, &peer);
    l->on_accept(l, fd, &peer, l->arg);
}

/* Returns how many connections left the queue; *out_err is 0 when the queue may hold more. */
static unsigned accept_burst(struct wr_listener *l, unsigned max, int *out_err)
{
    unsigned n = 0;
    *out_err = 0;
    if (WR_MUTANT("one-accept-per-edge"))
        max = 1;
    while (n < max && !l->closed && !l->paused) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        struct sockaddr *peer = l->options.peer_unwanted ? NULL : (struct sockaddr *)&sa;
        int fd = wr_os_accept(l->fd, peer, peer ? &len : NULL);
        if (fd >= 0) {
            n++;
            deliver(l, fd, &sa, len);
        } else if (peer_left(fd)) {
            n++;
            l->stats.aborted++;
        } else if ((fd == -EMFILE || fd == -ENFILE) && shed_one(l)) {
            n++;
            *out_err = fd; /* go on shedding, pause afterwards */
        } else {
            if (fd != -EAGAIN || *out_err == 0)
                *out_err = fd;
            break;
        }
    }
    return n;
}

static int accept_some(struct wr_listener *l, unsigned max, unsigned *out_n)
{
    int err;
    uint64_t shed_before = l->stats.shed;
    *out_n = accept_burst(l, max, &err);
    if (l->closed)
        return 0;
    if (!l->in_shortage)
        l->shed_before = shed_before;
    if (err == 0 || err == -EAGAIN)
        return err;
    if (err != -EMFILE && err != -ENFILE && err != -ENOBUFS && err != -ENOMEM)
        l->stats.errors++; /* unheard of; the pause keeps it from spinning */
    begin_shortage(l, err);
    return err;
}

static void on_readable(struct wr_io *io, uint32_t events)
{
    (void)events;
    struct wr_listener *l = wr_container_of(io, struct wr_listener, io);
    unsigned n;
    l->stats.wakeups++;
    int err = accept_some(l, l->options.burst, &n);
    if (l->closed)
        return;
    if (n == 0)
        l->stats.empty_wakeups++;
    if (n == l->options.burst)
        l->stats.full_bursts++;
    if (!err || err == -EAGAIN)
        take_turns(l, n);
}

static void on_drain(struct wr_task *t)
{
    struct wr_listener *l = wr_container_of(t, struct wr_listener, drain);
    unsigned n;
    (void)accept_some(l, l->options.burst, &n);
    if (!l->closed && !l->paused && n == l->options.burst)
        wr_loop_at_turn_end(l->loop, &l->drain);
}

int wr_listener_drain(struct wr_listener *l, unsigned max)
{
    unsigned n;
    int err = accept_some(l, max, &n);
    return n || err == -EAGAIN ? (int)n : err;
}

/* ---- opening and closing --------------------------------------------------------------------------------- */

static void free_listener(struct wr_free_later *f)
{
    struct wr_listener *l = wr_container_of(f, struct wr_listener, later);
    wr_heap_free(wr_loop_heap(l->loop), l, sizeof *l);
}

int wr_listener_open(struct wr_loop *loop, const struct wr_listen_options *options,
                     wr_accept_fn *on_accept, void *arg, struct wr_listener **out)
{
    struct wr_listener *l = wr_heap_zalloc(wr_loop_heap(loop), sizeof *l);
    if (!l)
        return -ENOMEM;
    l->loop = loop;
    l->options = *options;
    l->options.burst = options->burst ? options->burst : BURST;
    l->options.readd_every = options->readd_every ? options->readd_every : READD_EVERY;
    l->options.congestion = (struct wr_span){0}; /* used once, not ours to keep */
    l->on_accept = on_accept;
    l->arg = arg;
    l->timer.fn = on_timer;
    wr_task_init(&l->drain, on_drain);
    l->fd = l->reserve_fd = -1;
    l->paused = options->start_paused ? WR_PAUSE_USER : 0;
    int err = wr_listen_socket(options, &l->fd, &l->backlog);
    if (err)
        goto fail;
    err = wr_addr_of_socket(l->fd, &l->addr);
    if (!err && !l->paused && !options->manual)
        err = start(l);
    if (err)
        goto fail;
    open_reserve(l);
    *out = l;
    unsigned wanted = options->backlog ? options->backlog : BACKLOG;
    bool ours = options->addr.kind != WR_ADDR_FD || options->backlog;
    if (ours && l->backlog < wanted)
        notice(l, &(struct wr_listen_notice){
                      .kind = WR_LISTEN_BACKLOG_CLIPPED, .wanted = wanted, .got = l->backlog});
    return 0;
fail:
    wr_task_cancel(&l->drain);
    if (l->fd >= 0 && options->addr.kind != WR_ADDR_FD)
        (void)wr_os_close(l->fd);
    wr_heap_free(wr_loop_heap(loop), l, sizeof *l);
    return err;
}

void wr_listener_close(struct wr_listener **lp)
{
    struct wr_listener *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    l->closed = true;
    wr_loop_timer_cancel(&l->timer);
    wr_task_cancel(&l->drain);
    stop(l);
    if (!l->options.borrowed || l->options.addr.kind != WR_ADDR_FD)
        (void)wr_os_close(l->fd);
    if (l->reserve_fd >= 0)
        (void)wr_os_close(l->reserve_fd);
    wr_loop_free_later(l->loop, &l->later, free_listener);
}

unsigned wr_listener_paused(const struct wr_listener *l)
{
    return l->paused;
}

bool wr_listener_in_shortage(const struct wr_listener *l)
{
    return l->in_shortage;
}

int wr_listener_fd(const struct wr_listener *l)
{
    return l->fd;
}

const struct wr_addr *wr_listener_addr(const struct wr_listener *l)
{
    return &l->addr;
}

const struct wr_listen_stats *wr_listener_stats(const struct wr_listener *l)
{
    return &l->stats;
}

unsigned wr_listener_backlog(const struct wr_listener *l)
{
    return l->backlog;
}
