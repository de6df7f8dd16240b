/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_OWED_H
#define DOCTOR_JUDGE_OWED_H

/*
 * Who owes whom an answer, counted over the target (judge_debt tells it of one connection).
 *
 * 1. A debt counts only when it is old (owed_age_ms) and no byte moved on the connection between the looks.
 * 2. Streaming protocols break the idea: what is judged by it alone is never more than likely.
 */

#include "weir/doctor/rules/judge.h"

/* The i-th socket of look B came in, was read, is not answered and does not move. */
bool judge_we_owe(const struct judge *j, uint32_t i, uint32_t *out_age_ms);

#define OWED_PEERS 16

struct owed_peer { /* one destination */
    const struct facts_socket *sample;
    uint64_t owes, idle, oldest_ms;
};

struct owed { /* of one program */
    uint64_t ours,
        came_new; /* requests read and not answered; of them, since the first look or just before */
    uint64_t oldest_ms;
    uint64_t theirs,
        idle;        /* of all upstreams: answers they owe, connections on which nobody owes */
    uint64_t moving; /* upstream connections with bytes on the way */
    uint64_t
        answered; /* connections to which bytes went between the looks, or that came and ended */
    struct owed_peer peer[OWED_PEERS];
    unsigned peers;
};
void judge_owed(const struct judge *j, struct owed *out);
/* The destination that owes most; NULL: none does. */
const struct owed_peer *judge_debtor(const struct owed *o);

#endif
