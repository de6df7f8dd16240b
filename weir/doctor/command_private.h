/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_COMMAND_PRIVATE_H
#define DOCTOR_COMMAND_PRIVATE_H

/*
 * What the ways of running the doctor share: once, --watch, --while, --from. For command*.c only.
 *
 * run_scout finds the groups, run_look examines them, run_print says the outcome. All complain themselves; their
 * result is 0 or the exit status.
 */

#include "weir/doctor/command.h"
#include "weir/doctor/command_case.h"
#include "weir/doctor/look/examine.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/text.h"

struct run {
    const struct doctor_options *o;
    const struct wr_heap *heap;
    struct doctor_style style;
};

/* command_scout.c */
WR_MUST int run_scout(const struct run *r, struct target_groups *out);
/* Those of one network namespace; a hidden group belongs to the caller's (0). */
WR_MUST int run_scout_net(const struct target_groups *all, uint64_t net,
                          struct target_groups *out);
/* Of several namespaces one: the caller's own where it is among them. Says what is left out, unless told before. */
WR_MUST int run_scout_one(const struct run *r, const struct target_groups *all, bool silent,
                          struct target_groups *out);
bool run_whole_host(const struct run *r);

/* command.c */
/* What examine() is to be asked about the groups. */
struct examine run_question(const struct run *r, const struct target_groups *g,
                            const uint16_t *ports);
/* Of examine*(): 0, or complains. */
WR_MUST int run_result(const struct run *r, int result);
WR_MUST int run_record(const struct run *r, const struct facts *f);
WR_MUST int run_from(const struct run *r);
void run_print(const struct run *r, struct cases *c);
int run_no_memory(const struct run *r, int err);
/* The text goes to standard output. */
void run_say(const struct run *r, struct stats_text *text);

int run_watch(const struct run *r);
int run_while(const struct run *r);

/* What is to be spent in pauses of a look (look_pace), of the time between looks. */
#define RUN_ASIDE(wait_ms) (((wait_ms) ? (wait_ms) : EXAMINE_WAIT_MS) / 2)

#define RUN_PORTS 64 /* hidden listeners that are asked for, at most */
unsigned run_ports(const struct target_groups *g, uint16_t out[RUN_PORTS]);

#endif
