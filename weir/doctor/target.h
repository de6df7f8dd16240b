/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TARGET_H
#define DOCTOR_TARGET_H

/*
 * Who is to be examined: what a person types, and which processes of a look that means.
 *
 *   811   :8080   127.0.0.1:8080   [::1]:8080   nginx   cgroup:/system.slice   unit:nginx.service
 *
 * target_parse understands the word. target_groups finds the processes and puts a master and its workers, and the
 * members of a SO_REUSEPORT group, together: one group is one case. Without a target everybody who listens is one.
 *
 * 1. A pure function over a sealed look: no system call, the same look gives the same groups.
 * 2. A word that begins with no digit, colon, bracket or prefix is a name. A name never means who looks.
 * 3. A listener whose owner could not be seen is a group without processes (hidden): it is never left out.
 * 4. Groups stand in the order of their leaders' pids, hidden ones last; no process is in two groups of one call.
 */

#include "libweir/io/addr.h"
#include "weir/doctor/look/facts.h"
#include "weir/doctor/report/catalogue.h"

enum target_kind {
    TARGET_HOST, /* nobody was named */
    TARGET_PID,
    TARGET_PORT, /* addr.kind WR_ADDR_NONE: of any address */
    TARGET_NAME,
    TARGET_CGROUP,
    TARGET_UNIT,
};

struct target {
    enum target_kind kind;
    uint32_t pid;
    struct wr_addr addr;
    uint16_t port;
    struct wr_span name; /* into the parsed word: of a process, cgroup or unit */
};

/* 0, or -EINVAL and why (static text: what is wrong and what would be right). */
WR_MUST int target_parse(struct wr_span word, enum doctor_lang lang, struct target *out,
                         const char **out_why);

struct target_group {
    uint32_t first, n; /* its pids, side by side in target_groups.pids */
    uint32_t lead;     /* pid: of the master, or of who holds the listener; 0: hidden */
    uint32_t uid;      /* of the leader, or of the hidden listener */
    uint64_t net;      /* inode of the leader's network namespace; 0: not known */
    uint16_t port;     /* of the hidden listener, or of the one that was asked for; else 0 */
};

struct target_groups {
    FACTS_LIST(uint32_t) pids;
    FACTS_LIST(struct target_group) rows;
    const struct wr_heap *heap;
};

void target_groups_init(struct target_groups *g, const struct wr_heap *heap);
void target_groups_deinit(struct target_groups *g);

/* Adds the groups that the target means and that are not there yet; self (a pid) is never among them unless it is
 * named by number. How many it means, 0: no such target, or -ENOMEM, -E2BIG. */
WR_MUST int target_find(const struct facts_look *l, const struct target *t, uint32_t self,
                        struct target_groups *io);

/* The groups as part of the facts, so that a recording says who was meant. What there is no memory for is lost. */
void target_note(struct facts *f, const struct target_groups *g);
/* Adds those of a recording; none where it has none. -ENOMEM, -E2BIG. */
WR_MUST int target_noted(const struct facts_look *l, struct target_groups *io);

/* The processes run the same program: then a parent and its child are a master and its worker. */
bool target_same_program(const struct facts_look *l, const struct facts_process *a,
                         const struct facts_process *b);

#endif
