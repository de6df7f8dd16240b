/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset-storm: the machine resets, or is reset on, many connections. The counters are the machine's and name no
 * connection, and some health checks and load generators end every connection so: a hint.
 */
#include "weir/doctor/rules/judge.h"

static uint64_t rise(const struct judge *j, enum facts_counter c)
{
    uint64_t n = facts_rise(j->facts, c);
    return n == FACTS_UNKNOWN ? 0 : n;
}

void rule_reset_storm(const struct judge *j)
{
    uint64_t resets = rise(j, FACTS_ESTAB_RESETS), sent = rise(j, FACTS_OUT_RSTS);
    uint64_t aborts = rise(j, FACTS_ABORT_ON_DATA) + rise(j, FACTS_ABORT_ON_CLOSE) +
                      rise(j, FACTS_ABORT_ON_TIMEOUT) + rise(j, FACTS_ABORT_ON_LINGER);
    uint64_t most = resets > aborts ? resets : aborts;
    if (most < judge_limit(j, THRESHOLD_resets_min))
        return;
    struct finding *f = finding_add(j->out, RULE_RESET_STORM);
    finding_value(f, EVIDENCE_RESETS, most, most);
    finding_over(f, &j->limits, THRESHOLD_resets_min);
    finding_value(f, EVIDENCE_ABORTS, aborts, aborts);
    finding_value(f, EVIDENCE_RESETS_SENT, sent, sent);
}
