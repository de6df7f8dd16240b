/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_COMMAND_CASE_H
#define DOCTOR_COMMAND_CASE_H

/*
 * From facts to cases: each group of processes is judged and described for the report.
 *
 *   facts + groups --cases_judge--> cases (--cases_merge--> worse of several) --cases_report--> struct doctor_report
 *
 * 1. Cases refer to nothing in the facts but their texts of weir's own books: these facts outlive the cases.
 * 2. Of several judgements of the same groups the worse findings stay (cases_merge).
 * 3. On a whole host findings about the machine are a case of their own, once.
 *
 * The command owns one struct cases; cases_deinit frees all.
 */

#include "weir/doctor/report/report.h"
#include "weir/doctor/rules/judge.h"
#include "weir/doctor/target.h"

#define CASE_UNREADABLE 64

struct case_room {             /* what a struct doctor_case points to */
    struct findings *findings; /* NULL: none were found */
    struct unreadable *unreadable;
    uint32_t *pids;
    char name[64], behind[64], listener[160];
    uint32_t lead;
    uint16_t port;
    bool blind; /* descriptors of one of its processes are closed to us */
};

struct cases {
    FACTS_LIST(struct doctor_case) shown;
    FACTS_LIST(struct case_room) rooms; /* beside them */
    struct findings *none;              /* of all cases without findings */
    struct doctor_report report;
    char host[65];
    const struct wr_heap *heap;
};

struct case_options {
    const struct thresholds *limits;
    bool whole_host;
    const char *behind; /* of the new cases */
};

WR_MUST int cases_init(struct cases *c, const struct wr_heap *heap);
void cases_deinit(struct cases *c);

/* Adds a case for each group. -ENOMEM, -E2BIG. */
WR_MUST int cases_judge(struct cases *c, const struct facts *f, const struct target_groups *g,
                        const struct case_options *o);
/* Into the cases of the same groups; new groups become new cases. */
WR_MUST int cases_merge(struct cases *c, const struct cases *more);
/* The whole, with its exit status; o->fail_on decides. Valid until the next change. */
WR_MUST int cases_report(struct cases *c, const struct facts *f, bool whole_host,
                         enum severity fail_on);

#endif
