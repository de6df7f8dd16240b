/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_H
#define DOCTOR_JUDGE_H

/*
 * The rules at work: one function per rule over the facts of one examination, and what they share.
 *
 * judge_all makes the map of connections (judge_map.h), runs each rule that has a function (judge.c has the
 * table) and settles the findings.
 *
 * 1. A rule reads facts and thresholds only: the same facts give the same findings.
 * 2. "The same socket" is the same cookie at both looks, "the same thread" the same tid and start time.
 * 3. A fact that is FACTS_UNKNOWN proves nothing: judge_rise and its like then say 0.
 */

#include "weir/doctor/look/facts.h"
#include "weir/doctor/rules/finding.h"
#include "weir/doctor/rules/judge_map.h"

struct judge_target {
    const uint32_t *pids; /* the target's processes */
    uint32_t n_pids;
    const uint16_t *ports; /* or, of a target whose processes nobody may see, its local ports */
    uint32_t n_ports;      /* neither: everything that was seen */
    const struct thresholds *limits; /* NULL: as in thresholds.def */
};

struct judge {
    const struct facts *facts;
    const struct judge_target *target;
    const struct judge_map *map;
    struct thresholds limits;
    struct findings *out;
};

/* -ENOMEM: nothing was judged. */
WR_MUST int judge_all(const struct facts *f, const struct judge_target *t,
                      struct findings *out);

bool judge_target_has(const struct judge_target *t, uint32_t pid);
/* Everything, or a socket without a visible owner on one of the target's ports. */
bool judge_target_port(const struct judge_target *t, const struct facts_socket *s);
bool judge_is_target(const struct judge *j, uint32_t pid);
/* Is the socket one of the target's? */
bool judge_owns(const struct judge *j, const struct facts_socket *s);
uint64_t judge_limit(const struct judge *j, enum threshold_name name);
/* "10.0.0.7:443" of the local or the remote end; room for 64 bytes. */
void judge_addr(const struct facts_socket *s, bool remote, char out[64]);
/* A finding about a peer, named by its address: with the port where we went there, without where it came.
 * process: a place in b.processes; FACTS_NONE leaves the subject unnamed. */
struct finding *judge_peer_finding(const struct judge *j, enum rule_name rule,
                                   const struct judge_peer *p, uint32_t process);
struct wr_span judge_comm(const char comm[16]);
/* NULL when the socket is new. */
const struct facts_socket *judge_before(const struct judge *j, const struct facts_socket *s);

#define JUDGE_FINDINGS_MAX 8 /* of one rule: the largest peers say enough */

/* What moved on a connection between the looks. All that a connection has which the first look did not know
 * happened since. */
struct judge_flow {
    uint64_t elapsed_us, busy_us, rwnd_us, sndbuf_us;
    uint64_t sent, retrans, received, acked; /* bytes */
    uint64_t segs_out, segs_in;              /* with data */
    uint64_t dsacks;                         /* sent again without need */
};
/* place: in b.sockets. False where this kernel does not tell all of it. */
bool judge_flow(const struct judge *j, uint32_t place, struct judge_flow *out);

/* Who has to say something next on an established connection, by what came last; and since when. */
enum judge_debt {
    JUDGE_QUIET,    /* nothing is owed, or it is not known */
    JUDGE_WE_OWE,   /* a request was read and not answered */
    JUDGE_THEY_OWE, /* we asked, all was acknowledged, no answer came */
};
enum judge_debt judge_debt(const struct facts_look *l, const struct facts_socket *s,
                           enum judge_role role, uint32_t *out_age_ms);
/* The state of the first look; 0 for a new one. */
enum facts_tcp_state judge_was(const struct judge *j, uint32_t place);
/* Not one byte either way between the looks; false for a new connection. */
bool judge_still(const struct judge *j, uint32_t place);
/* Nanoseconds from look to look. */
uint64_t judge_span_ns(const struct judge *j);
/* part of whole in percent; of nothing: 0. */
uint64_t judge_percent(uint64_t part, uint64_t whole);
/* As finding_subject, for a place in b.processes; FACTS_NONE leaves the subject unnamed. */
void judge_name(const struct judge *j, struct finding *f, uint32_t process);

struct judge_queue { /* what waits at a listener, the same sockets at both looks */
    uint64_t waiting, gave_up, oldest_ms;
    uint64_t left; /* stood there at the first look and do no more */
};
struct judge_queue judge_queue(const struct judge *j, const struct facts_socket *listener);
/* What waits at the second look for that long at least, whether or not it was there at the first. */
struct judge_queue judge_queue_of_ms(const struct judge *j, const struct facts_socket *listener,
                                     uint64_t least_ms);

/* Of a program on libweir its own account tells: a pool has lent all that it may and others wait; and who holds what it
 * lent. judge_pools.c */
bool judge_pool_is_empty(const struct judge *j);
void judge_put_pool(const struct judge *j, struct finding *f);

void rule_accept_overflow(const struct judge *j);
void rule_backlog(const struct judge *j);
void rule_busy_spin(const struct judge *j);
void rule_loop_busy(const struct judge *j);
void rule_close_wait(const struct judge *j);
void rule_connect_pile_up(const struct judge *j);
void rule_conntrack(const struct judge *j);
void rule_cpu_starved(const struct judge *j);
void rule_cpu_throttled(const struct judge *j);
void rule_disk_full(const struct judge *j);
void rule_disk_stall(const struct judge *j);
void rule_dns(const struct judge *j);
void rule_et_listener(const struct judge *j);
void rule_fd_limit(const struct judge *j);
void rule_fork_mutex(const struct judge *j);
void rule_herd(const struct judge *j);
void rule_imbalance(const struct judge *j);
void rule_inherited(const struct judge *j);
void rule_loop_blocked(const struct judge *j);
void rule_loss(const struct judge *j);
void rule_mutex_cycle(const struct judge *j);
void rule_nagle(const struct judge *j);
void rule_no_keepalive(const struct judge *j);
void rule_no_protocol(const struct judge *j);
void rule_no_timeouts(const struct judge *j);
void rule_oneshot(const struct judge *j);
void rule_ports(const struct judge *j);
void rule_reset_storm(const struct judge *j);
void rule_reuseport(const struct judge *j);
void rule_rx_drop(const struct judge *j);
void rule_session_pile_up(const struct judge *j);
void rule_slow_path(const struct judge *j);
void rule_slow_upstream(const struct judge *j);
void rule_small_buffers(const struct judge *j);
void rule_stale_pool(const struct judge *j);
void rule_stopped(const struct judge *j);
void rule_stuck_inside(const struct judge *j);
void rule_syn_flood(const struct judge *j);
void rule_tcp_memory(const struct judge *j);
void rule_threads(const struct judge *j);
void rule_time_wait(const struct judge *j);
void rule_time_wait_server(const struct judge *j);
void rule_unaccepted(const struct judge *j);
void rule_unwatched(const struct judge *j);
void rule_worker_pool(const struct judge *j);
void rule_zero_window(const struct judge *j);
void rule_zombies(const struct judge *j);
void rule_blocked_write(const struct judge *j); /* ipc-full and log-write-blocked */
void rule_blocked_write(const struct judge *j); /* ipc-full and log-write-blocked */

#endif
