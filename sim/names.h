/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_NAMES_H
#define WR_SIM_NAMES_H

/*
 * A name server outside of the simulated machine, over UDP and TCP, as good or as bad as its mood.
 *
 * What a name means is said by the scenario's function, so that whoever asks can know every answer
 * beforehand. The mood decides what becomes of a question: the answer, late; nothing; another id or another
 * question first; a cut answer that is whole over TCP only; an error; garbage.
 *
 * 1. A true answer carries exactly the meaning's addresses. Lies are never acceptable to a correct client:
 *    their id or question is not the one that was asked.
 * 2. All questions are counted before the mood decides.
 */

#include "sim/sim.h"

#define NAMES_PORT  53
#define NAMES_ADDRS 6u

struct names_meaning {
    bool exists;
    unsigned v4_count, v6_count;
    uint8_t v4[NAMES_ADDRS][4], v6[NAMES_ADDRS][16];
};
/* name: dotted, lower case, without the last dot. */
typedef void names_meaning_fn(const char *name, struct names_meaning *out);

struct names_mood { /* chances in 1/1000 */
    unsigned lost, wrong_id, wrong_question, cut, fail, garbage, tcp_mute, tcp_hang_up;
    uint64_t delay_ns; /* at most */
    unsigned ttl_max_s;
};

struct names_stats {
    uint64_t questions, lost, answers, lies, cut, tcp;
};

struct names;
struct names *
names_serve(uint32_t host, const struct names_mood *mood,
            names_meaning_fn *meaning); /* the mood is looked at for each question */
const struct names_stats *names_stats(const struct names *n);
void names_free(struct names **n);

#endif
