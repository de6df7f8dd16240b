/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LISTEN_H
#define WR_IO_LISTEN_H

/*
 * A listening socket that loses no connection and cannot spin.
 *
 * It is registered level-triggered and non-blocking, and accepts in bounded bursts: what a burst leaves
 * behind is announced again by the kernel, so that nothing depends on an edge, on the burst or on
 * another worker. Out of descriptors, a reserve descriptor is closed, the connection accepted with it
 * and shed (reset, or answered by on_shed), the reserve opened again; then the listener pauses with a
 * back-off and resumes by its timer or as soon as wr_listener_resume says that a connection closed.
 *
 * 1. The descriptor given to on_accept is non-blocking, close-on-exec and belongs to the callback.
 * 2. accepted + shed + aborted = what accept returned. Nothing is dropped without being counted.
 * 3. Out of descriptors: at most `burst` sheds, then a pause of 10 ms, doubled up to 160 ms while the
 *    shortage lasts. One notice when a shortage begins and one when a second went by without it, not
 *    one per connection.
 * 4. Each reason to pause is on or off (two pauses for one reason need one resume). The listener
 *    accepts when no reason is on.
 * 5. on_accept may pause or close the listener; the burst ends there.
 * 6. TCP options are set on the listener and inherited by the connection, so that a connection costs
 *    one system call: accept4.
 *
 * What the kernel drops when its queue is full, the peer's kernel sends again: nothing is lost, only late.
 * With net.ipv4.tcp_syncookies=1 an overflow also makes peers that believe to be connected while we know
 * nothing of them, until they send a byte: a reason for a long queue, and for protocols in which the
 * client speaks first.
 *
 * The listener owns its descriptor and its reserve. A socket in the file system that nobody listens
 * on any more is replaced when a listener opens its path and stays when it closes; any other file there is left alone. Owner loop only.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/addr.h"

struct wr_listener; /* opaque */
struct wr_loop;

typedef void wr_accept_fn(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg);

enum wr_listen_notice_kind {
    WR_LISTEN_BACKLOG_CLIPPED, /* wanted, got: raise net.core.somaxconn */
    WR_LISTEN_SHORTAGE,        /* err: EMFILE and its kind began; accepting pauses */
    WR_LISTEN_RECOVERED,       /* shed, lasted_ms: the shortage ended */
};

struct wr_listen_notice {
    enum wr_listen_notice_kind kind;
    int err;
    unsigned wanted, got;
    uint64_t shed, lasted_ms;
};

struct wr_listen_options {
    /* WR_ADDR_FD with fd >= 0: adopted as it is, but for delay, defer_accept_s and a backlog that is given */
    struct wr_addr addr;
    unsigned backlog;     /* 0: 4096; adopted: as it is */
    unsigned burst;       /* accepts per turn; 0: 64 */
    bool reuseport;       /* one socket per worker; the kernel spreads */
    bool exclusive;       /* EPOLLEXCLUSIVE: one shared socket, not every worker wakes */
    unsigned readd_every; /* exclusive: register again after so many accepts, or the worker that
                             registered last gets most of them; 0: 256 */
    unsigned defer_accept_s; /* TCP_DEFER_ACCEPT; 0: off */
    bool delay;              /* leave Nagle's algorithm on */
    bool v6only;
    bool freebind;
    int rcvbuf, sndbuf;        /* 0: the kernel's own, which adapts itself */
    struct wr_span congestion; /* empty: the system's; an unknown one is an error */
    bool
        borrowed; /* an adopted descriptor stays open when the listener closes: it is the master's */
    bool manual; /* not in epoll: wr_listener_drain accepts, and what was waiting during a pause
                    is accepted when it ends */
    bool start_paused;  /* paused for WR_PAUSE_USER from birth */
    bool peer_unwanted; /* do not translate the peer's address: on_accept gets NULL */

    /* Shed a connection: write an answer into fd if you like; it is closed behind the call.
     * Without it the peer gets a RST. */
    void (*on_shed)(struct wr_listener *l, int fd, void *arg);
    void (*on_notice)(struct wr_listener *l, const struct wr_listen_notice *n, void *arg);
};

struct wr_listen_stats {
    uint64_t accepted, shed,
        aborted;     /* aborted: the peer left while queued (ECONNABORTED and kin) */
    uint64_t pauses; /* for shortage */
    uint64_t errors; /* accept failed for any other reason */
    uint64_t wakeups, full_bursts, empty_wakeups;
};

enum wr_pause_reason {
    WR_PAUSE_USER = 1,        /* stopping, an operator, a test */
    WR_PAUSE_CONNS = 2,       /* max connections reached */
    WR_PAUSE_BUDGET = 4,      /* memory */
    WR_PAUSE_SHORTAGE = 8,    /* the listener's own */
    WR_PAUSE_HANDSHAKES = 16, /* too many are under way */
};

WR_MUST int wr_listener_open(struct wr_loop *loop, const struct wr_listen_options *options,
                             wr_accept_fn *on_accept, void *arg, struct wr_listener **out);

/* Makes the listening socket alone, for a master that hands it to its workers (who adopt it with an
 * address of kind WR_ADDR_FD). *out_backlog is the length that the kernel granted. */
WR_MUST int wr_listen_socket(const struct wr_listen_options *options, int *out_fd,
                             unsigned *out_backlog);

/* Takes NULL and empties the pointer. The memory goes at the end of the turn. */
void wr_listener_close(struct wr_listener **l);

void wr_listener_pause(struct wr_listener *l, enum wr_pause_reason why);

/* Also the hint that a connection closed: WR_PAUSE_SHORTAGE tries again in this turn. Cheap when
 * nothing is paused. */
void wr_listener_resume(struct wr_listener *l, enum wr_pause_reason why);

unsigned wr_listener_paused(const struct wr_listener *l);  /* the reasons that are on */
bool wr_listener_in_shortage(const struct wr_listener *l); /* until it has been calm */
int wr_listener_fd(const struct wr_listener *l);
const struct wr_addr *wr_listener_addr(const struct wr_listener *l); /* with the port it got */
const struct wr_listen_stats *wr_listener_stats(const struct wr_listener *l);
unsigned wr_listener_backlog(const struct wr_listener *l); /* as clipped by the kernel */

/* Accepts until the queue is empty or `max` is reached, now: for a worker that is told by an eventfd
 * instead of epoll. Returns how many, or a negative error. */
int wr_listener_drain(struct wr_listener *l, unsigned max);

#endif
