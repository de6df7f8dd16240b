/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_H
#define DOCTOR_JUDGE_H

/*
 * The rules at work: one function per rule over the facts of one examination, and what they share.
 *
 * judge_all runs each rule that has a function (judge.c has the table) and settles the findings.
 *
 * 1. A rule reads facts and thresholds only: the same facts give the same findings.
 * 2. "The same socket" is the same cookie at both looks, "the same thread" the same tid and start time.
 * 3. A fact that is FACTS_UNKNOWN proves nothing: judge_rise and its like then say 0.
 */

#include "weir/doctor/facts.h"
#include "weir/doctor/finding.h"

struct judge_target {
    const uint32_t *pids; /* the target's processes; none: everything that was seen */
    uint32_t n_pids;
};

struct judge {
    const struct facts *facts;
    const struct judge_target *target;
    struct thresholds limits;
    struct findings *out;
};

void judge_all(const struct facts *f, const struct judge_target *t, struct findings *out);

bool judge_is_target(const struct judge *j, uint32_t pid);
/* Is the socket one of the target's? */
bool judge_owns(const struct judge *j, const struct facts_socket *s);
uint64_t judge_limit(const struct judge *j, enum threshold_name name);
/* "10.0.0.7:443" of the local or the remote end; room for 64 bytes. */
void judge_addr(const struct facts_socket *s, bool remote, char out[64]);
struct wr_span judge_comm(const char comm[16]);
/* NULL when the socket is new. */
const struct facts_socket *judge_before(const struct judge *j, const struct facts_socket *s);

struct judge_queue { /* what waits at a listener, the same sockets at both looks */
    uint64_t waiting, gave_up, oldest_ms;
};
struct judge_queue judge_queue(const struct judge *j, const struct facts_socket *listener);

void rule_accept_overflow(const struct judge *j);
void rule_close_wait(const struct judge *j);
void rule_et_listener(const struct judge *j);
void rule_fd_limit(const struct judge *j);
void rule_stopped(const struct judge *j);
void rule_unaccepted(const struct judge *j);

#endif
