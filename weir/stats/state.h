/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_STATE_H
#define STATS_STATE_H

/*
 * What the master says about the family, in shared memory: version, generation, listeners, and of each worker
 * that does not move, what it stands in.
 *
 * The master is the only writer. It makes `turn` odd, writes, and makes it even again; a reader copies and
 * looks at `turn` before and after. The watch reads nothing else of the master's, so both may be stuck
 * without hindering each other.
 *
 * 1. Every text ends with a NUL within its array; readers do not rely on it.
 * 2. stuck[seat].pid is 0 when the seat's worker moves.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

#define STATE_PART      "state"
#define STATE_VERSION   2
#define STATE_LISTENERS 64
#define STATE_SEATS     512

struct state_listener {
    char text[96]; /* as wr_addr_format writes it; empty: none */
    uint32_t backlog, sockets;
    uint32_t deferred; /* the kernel then counts late first bytes among its drops */
    uint32_t
        waiting_ms; /* a socket's queue has not got shorter for so long; 0: none. Outside of turns */
};

struct state_stuck {
    uint64_t pid;
    uint64_t since_ns; /* CLOCK_MONOTONIC */
    int64_t fd;
    char what[32];    /* "callback", "stopped", "disk", "no heartbeat" */
    char fn[64];      /* of the callback: symbol or address */
    char syscall[32]; /* that it is in; empty: none, or not known */
    char path[128];   /* what the descriptor is */
};

struct state_words {
    uint64_t turn;
    uint64_t heartbeat_ns; /* the master's, CLOCK_MONOTONIC; outside of turns */
    uint64_t master_pid, generation, started_ns, loaded_ns; /* real time */
    uint64_t workers, ready, stopping, reloads, reloads_failed, deaths, stuck_killed;
    char version[32], conf[192], problem[256]; /* problem: of the latest reload that failed */
    uint32_t n_listeners, seats, first_worker_seat, spare;
    struct state_listener listener[STATE_LISTENERS];
    struct state_stuck stuck[STATE_SEATS];
    uint64_t connections; /* accepted by all workers; theirs to write, outside of turns */
};

struct wr_shm;
struct state_words *state_at(const struct wr_shm *shm); /* NULL: no such part */

static inline void state_begin(struct state_words *s)
{
    __atomic_store_n(&s->turn, s->turn + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void state_end(struct state_words *s)
{
    __atomic_store_n(&s->turn, s->turn + 1, __ATOMIC_RELEASE);
}

void state_text(char *out, size_t n, const char *text); /* copied, cut, NUL-terminated */
/* A copy, texts terminated. False: the master writes all the time, or died writing: the copy may be mixed. */
bool state_read(const struct state_words *s, struct state_words *out);

#endif
