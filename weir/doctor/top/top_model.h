/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_MODEL_H
#define DOCTOR_TOP_MODEL_H

/*
 * What `weir top` shows, as plain numbers and rows: made of two sealed looks, their findings, and a little that is
 * remembered from the looks before.
 *
 *   facts, groups, findings --top_model_make--> struct top_model --> screen, JSON
 *                               ^  |
 *                          struct top_past: since when a thread stands, peaks of queues, memory over time,
 *                                           findings that came and went
 *
 * 1. Pure: no clock, no system call. The same facts after the same past give the same model.
 * 2. Ages are in ms. "Nobody waits" is a count of 0; what could not be read is FACTS_UNKNOWN.
 * 3. Names are bytes of the observed machine: only a pen of top_screen.h or stats_json writes them.
 * 4. Looks must come in order of time. A thread keeps its age as long as start, system call, first argument and
 *    wake-ups are the same at each look.
 *
 * Model and past own their lists (top_model_free, top_past_free); strings inside rows are copies, so that the
 * facts may go before the model. One thread.
 */

#include "weir/doctor/look/facts.h"
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/rules/finding.h"
#include "weir/doctor/target.h"

enum top_wait { /* what a thread's system call means */
    TOP_WAIT_UNKNOWN,
    TOP_WAIT_RUNNING,
    TOP_WAIT_IDLE,   /* asks for work: nobody waits for it */
    TOP_WAIT_PARKED, /* in a lock or a condition: a pool that rests, or one that is stuck */
    TOP_WAIT_BLOCKED /* somebody else has to move before it goes on */
};

struct top_oldest {
    uint64_t n, ms;
    char who[48];
};

struct top_worker {
    uint32_t pid, tid;
    char comm[16];
    char doing[72];
    enum top_wait wait;
    uint64_t stands_ms; /* in the same call without waking */
    uint64_t cpu,
        waited; /* permille of the time between the looks: on a processor, for a processor */
    uint64_t wakes;        /* per second */
    uint64_t conns, queue; /* of its process: on the main thread only, else FACTS_UNKNOWN */
};

struct top_family { /* threads of one process whose names differ in digits only */
    char name[24], what[72];
    uint32_t pid, threads, blocked;
    uint64_t cpu, stands_ms; /* stands: of the one that is blocked longest */
};

struct top_peer {
    char name[64];
    bool outgoing;                   /* we connected to it */
    uint32_t conns, owed, time_wait; /* owed: answers, by us or, where outgoing, by it */
    uint64_t oldest_ms, rtt_us, min_rtt_us;
    uint64_t resent;     /* permille of the bytes */
    uint64_t port_share; /* permille of the local port range; only where outgoing */
};

struct top_listener {
    uint64_t cookie;
    char name[64], owner[24];
    uint32_t owners;
    uint64_t waiting, backlog, peak, oldest_ms, drops; /* drops: between the looks */
};

struct top_counter {
    const char *group, *name;
    uint64_t rise, per_s, value;
};

struct top_program {
    uint32_t pid, processes, threads;
    uint16_t hidden; /* the port of a listener whose processes cannot be seen: pid is 0 */
    char name[16], listen[40];
    uint64_t conns, queue, backlog, cpu, fds, fds_limit, rss;
    struct top_oldest unaccepted, unread, owed, blocked;
    uint64_t worst_ms; /* of these */
};

struct top_change { /* a finding that came, and perhaps went */
    enum rule_name rule;
    enum severity severity;
    enum certainty certainty;
    struct subject subject;
    uint64_t came_ms, seen_ms; /* wall clock */
    bool gone;
};

struct top_port_use {
    char to[64];
    uint64_t used, range;
};

struct top_model {
    uint64_t wall_ms, span_ms;
    bool host; /* several programs: the totals are of all of them */
    char name[16], listen[40];
    uint32_t pid, processes, threads, listeners;
    uint64_t up_ms, in_per_s, out_per_s; /* in, out: of the whole network namespace */
    struct top_oldest unaccepted, unread, owed, upstream,
        blocked;               /* upstream: what others owe us */
    struct top_listener queue; /* the fullest */
    uint64_t drops, overflows; /* between the looks: of our listeners; of the namespace */
    uint64_t state[16];        /* sockets by enum facts_tcp_state */
    uint64_t open, kept,
        bare; /* kept: CLOSE_WAIT that a process holds; bare: sockets without a protocol's row */
    struct top_port_use ports; /* of the destination that uses most */
    uint64_t fds, fds_limit;   /* of the process that is nearest to its limit */
    uint64_t rss;
    int64_t rss_per_min;
    bool slope_known;
    uint64_t starved,
        throttled; /* permille of the time between the looks: waited for a processor, stopped by quota */
    uint64_t unread_files; /* what a look could not read */
    FACTS_LIST(struct top_program) programs;
    FACTS_LIST(struct top_worker) workers;
    FACTS_LIST(struct top_peer) peers;
    FACTS_LIST(struct top_listener) lists;
    FACTS_LIST(struct top_family) families;
    FACTS_LIST(struct top_counter) counters;
    FACTS_LIST(struct top_change) changes; /* newest first */
    /* private */
    const struct wr_heap *heap;
};

struct top_stand { /* a thread that may be standing */
    uint64_t start, voluntary, arg, since_ns;
    uint32_t tid;
    int32_t syscall;
};
struct top_peak {
    uint64_t cookie, peak;
};
struct top_memory {
    uint64_t at_ns, rss;
};

#define TOP_CHANGES_MAX 256
#define TOP_MEMORY_MAX  64

struct top_past {
    FACTS_LIST(struct top_stand) stands;   /* by tid */
    FACTS_LIST(struct top_peak) peaks;     /* by cookie */
    FACTS_LIST(struct top_change) changes; /* oldest first */
    struct top_memory memory[TOP_MEMORY_MAX];
    uint32_t memories;
    const struct wr_heap *heap;
};

void top_past_init(struct top_past *p, const struct wr_heap *heap);
void top_past_free(struct top_past *p);

struct top_input {
    const struct facts *facts;
    const struct target_groups *groups; /* who is shown; none: the whole look as one */
    const struct findings *findings;
    enum doctor_lang lang; /* of what threads are said to do */
};

void top_model_init(struct top_model *m, const struct wr_heap *heap);
void top_model_free(struct top_model *m);
/* Fills *m anew. -ENOMEM, -E2BIG: the model is worth nothing, the past is whole. */
WR_MUST int top_model_make(struct top_model *m, const struct top_input *in,
                           struct top_past *past);

/* Between two whole looks: only the listeners' queues, from a look that saw nothing else. */
void top_model_pulse(struct top_model *m, const struct facts_look *listeners,
                     struct top_past *past);

#endif
