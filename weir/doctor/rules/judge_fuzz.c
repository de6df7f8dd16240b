/* SPDX-License-Identifier: BSD-2-Clause */
/* All rules over the facts of a record that somebody sent: whatever it tells, they end, and what they found is in order. */
#include "weir/doctor/look/record.h"
#include "weir/doctor/rules/judge.h"

#include "libweir/base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct findings *f)
{
    bool seen[FINDINGS_MAX] = {false};
    WR_ASSERT(f->n <= FINDINGS_MAX && f->leading <= f->n);
    for (unsigned i = 0; i < f->n; i++) {
        const struct finding *x = &f->row[f->order[i]];
        WR_ASSERT(f->order[i] < f->n && !seen[f->order[i]]);
        seen[f->order[i]] = true;
        WR_ASSERT(x->rule < RULE_COUNT && x->n_evidence <= EVIDENCE_MAX);
        WR_ASSERT(x->certainty <= rule_get(x->rule)->certainty);
        WR_ASSERT((x->cause == FINDING_ALONE) == (i < f->leading));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct facts f;
    struct findings *found = malloc(sizeof *found);
    unsigned line = 0;
    facts_init(&f, wr_heap_libc());
    if (found && record_read(wr_span(data, size), &f, &line) == 0) {
        uint32_t pid = f.b.processes.n ? f.b.processes.v[0].pid : 1;
        struct judge_target target = {.pids = &pid, .n_pids = 0};
        for (; target.n_pids < 2; target.n_pids++) /* everything, then one process */
            if (judge_all(&f, &target, found) == 0)
                check(found);
    }
    facts_deinit(&f);
    free(found);
    return 0;
}
