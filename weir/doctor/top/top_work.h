/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_WORK_H
#define DOCTOR_TOP_WORK_H

/*
 * What the parts of the model share while it is made: top_model.c calls them in this order.
 *
 *   top_sockets   states, ages, peers, listeners; sums per process and per program
 *   top_threads   workers, families, who is blocked
 *   top_past_*    what only time tells: standing threads, peaks, memory, findings
 *
 * Private to these files. place_of(pid) is the row of a program; TOP_NOBODY: not shown.
 */

#include "weir/doctor/report/words.h"
#include "weir/doctor/rules/judge.h"
#include "weir/doctor/top/top_model.h"

#define TOP_NOBODY UINT32_MAX

struct top_member { /* a process that is shown */
    uint32_t pid, program;
    uint64_t conns, queue; /* sums */
};

struct top_work {
    const struct facts *facts;
    const struct target_groups *groups;
    const struct findings *findings; /* NULL: none yet */
    struct top_model *model;
    struct top_past *past;
    const struct wr_heap *heap;
    FACTS_LIST(struct top_member) members; /* by pid */
    uint32_t *pids;                        /* of the members */
    struct judge_map map;
    enum doctor_lang lang;
};

struct top_member *top_member(const struct top_work *w, uint32_t pid);
/* The member that has b.sockets.v[place]; NULL: none of the shown. */
struct top_member *top_holder(const struct top_work *w, uint32_t place);
void top_older(struct top_oldest *o, uint64_t ms, const char *who);
/* n between the looks as a rate per second. */
uint64_t top_per_s(const struct top_work *w, uint64_t n);

/* What the thread is doing: "epoll_wait", "write pipe of logger 4711 (full)", "recvfrom 10.0.0.7:443".
 * map: of that look. */
enum top_wait top_doing(const struct facts_look *l, const struct judge_map *map,
                        enum doctor_lang lang, const struct facts_thread *t, char *out,
                        size_t n);

WR_MUST int top_sockets(struct top_work *w);
WR_MUST int top_peers(struct top_work *w);
WR_MUST int top_threads(struct top_work *w);

/* Since when the thread stands, in ms: 0 if it woke since the last look. Fills `next` with what to remember. */
uint64_t top_past_stands(const struct top_past *p, const struct facts *f,
                         const struct facts_thread *t, struct top_stand *out_next);
void top_past_peak(struct top_past *p, struct top_listener *l);
void top_past_forget(struct top_past *p,
                     const struct top_model *m); /* listeners that have gone */
void top_past_memory(struct top_past *p, struct top_model *m, uint64_t at_ns);
WR_MUST int top_past_changes(struct top_past *p, struct top_model *m,
                             const struct findings *found);

#endif
