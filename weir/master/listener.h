/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_LISTENER_H
#define MASTER_LISTENER_H

/*
 * The master's listening sockets: one row per address, kept for as long as a configuration names it.
 *
 *   wanted by a configuration --prepare--> opened, or found in the table, or inherited --commit--> the table
 *                                   `--failed--> rollback: what was opened is closed, the table is as it was
 *
 * 1. A socket that stays is never closed and opened again: its queue of connections lives through reloads,
 *    dead workers and upgrades. Options that can change on a living socket are set at commit.
 * 2. A row with reuseport has at least one socket per worker. When there are fewer workers than sockets each
 *    serves several, and without reuseport all serve all (listener_fds): a socket whose queue the kernel
 *    fills is never left without a reader.
 * 3. Between prepare and commit or rollback the old workers' sockets are untouched, and an address that has some
 *    gets its connections there: what a rollback closes has none in its queue.
 *
 * Owner: the master, or the only process; workers inherit the descriptors.
 */

#include "libweir/io/listen.h"

struct wr_heap;

struct listener_want {
    struct wr_listen_options socket;      /* addr, backlog, reuseport, defer_accept_s ... */
    int fastopen;                         /* length of its queue; 0: off */
    int keepalive;                        /* -1: the system's, 0: off, 1: on, with: */
    int keepidle_s, keepintvl_s, keepcnt; /* 0: the system's */
};

struct listener {
    struct listener_want want;
    struct listener_want next; /* of the configuration that is being prepared */
    char congestion[16], next_congestion[16];
    int *fds;
    unsigned n_fds, n_old; /* sockets; how many of them there were before prepare */
    unsigned room;
    unsigned backlog; /* as the kernel granted it */
    bool wanted, fresh;
};

/* level: enum wr_log_level; text in nginx's words. */
struct listener_say {
    void (*fn)(void *ctx, int level, const char *text);
    void *ctx;
};

struct listeners {
    const struct wr_heap *heap;
    struct listener **row;
    unsigned n, room;
    int *
        inherited; /* descriptors from a predecessor or a service manager that no row has taken */
    unsigned n_inherited, inherited_room;
};

void listeners_init(struct listeners *t, const struct wr_heap *heap);
/* Closes everything. */
void listeners_deinit(struct listeners *t);

/* What the environment hands over: WEIR and NGINX ("5;6;"), LISTEN_PID with LISTEN_FDS. Any may be NULL. */
void listeners_inherit(struct listeners *t, const char *list, const struct listener_say *say);
void listeners_inherit_systemd(struct listeners *t, const char *pid, const char *fds,
                               int own_pid);

/* retries: how often an address in use is tried again, half a second apart. */
WR_MUST int listeners_prepare(struct listeners *t, const struct listener_want *wants,
                              unsigned n, unsigned workers, unsigned retries,
                              const struct listener_say *say);
void listeners_commit(struct listeners *t, const struct listener_say *say);
void listeners_rollback(struct listeners *t);

struct listener *listeners_find(const struct listeners *t, const struct wr_addr *addr);
/* The sockets that worker `index` of `workers` serves; returns how many, at most max. own: as the worker's
 * configuration says (reuseport), the row may hold another one's word: each has its own sockets, else all share all. */
unsigned listener_fds(const struct listener *l, bool own, unsigned index, unsigned workers,
                      int *out_fds, unsigned max);
/* "5;6;" with a final NUL: all sockets, for a successor. 0, or WR_E_TOO_BIG. */
WR_MUST int listeners_format(const struct listeners *t, char *out, size_t n);
/* The sockets become, or are no longer, closed by exec. */
void listeners_set_cloexec(const struct listeners *t, bool on);
/* Socket files of unix listeners, at the end when nobody goes on with them. */
void listeners_unlink(const struct listeners *t);

#endif
