/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_RULES_H
#define DOCTOR_RULES_H

/*
 * The rules: what diseases the doctor knows, and the one table of them.
 *
 * Each rule is a file rule_NAME.c with one pure function over two immutable looks at the same target; it adds
 * findings with their evidence. rules.def names all, catalogue.def has their texts, thresholds.def the numbers
 * from which on something is found. rules_judge runs all and settles who explains whom.
 *
 * 1. A rule reads the two looks and the thresholds, nothing else: the same looks give the same findings.
 * 2. What a look could not read is unknown, never 0: a rule that misses evidence says less or nothing.
 * 3. "Explains" has no cycle; rules_test checks it.
 * 4. A rule claims at most the certainty of its row.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum severity {
    SEVERITY_INFO,
    SEVERITY_WARN,
    SEVERITY_CRIT
};
enum certainty {
    CERTAINTY_HINT,
    CERTAINTY_LIKELY,
    CERTAINTY_PROOF
};
/* What must be the same for a cause to explain a consequence: see findings_settle. */
enum rule_scope {
    SCOPE_TARGET,
    SCOPE_LISTENER,
    SCOPE_PEER,
    SCOPE_HOST
};

enum rule_name {
#define X(NAME, id, severity, certainty, see, scope, explains) RULE_##NAME,
#include "weir/doctor/rules/rules.def"
#undef X
    RULE_COUNT
};

enum threshold_name {
    THRESHOLD_NONE,
#define X(name, value, what) THRESHOLD_##name,
#include "weir/doctor/rules/thresholds.def"
#undef X
    THRESHOLD_COUNT
};

struct thresholds {
    uint64_t value[THRESHOLD_COUNT];
};

struct rule {
    const char *id;
    enum severity severity;
    enum certainty certainty; /* at most */
    unsigned see;
    enum rule_scope scope;
    const uint8_t *explains; /* rule_name each */
    unsigned n_explains;
};

struct threshold {
    const char *name, *what;
    uint64_t value;
};

const struct rule *rule_get(enum rule_name name);
/* RULE_COUNT where no rule has that id. */
enum rule_name rule_find(const char *id);
bool rule_explains(enum rule_name cause, enum rule_name consequence);
/* Has treatments.def a row for it? Then `weir treat` takes its id. */
bool rule_is_treated(enum rule_name name);

const struct threshold *threshold_get(enum threshold_name name);
void thresholds_init(struct thresholds *t);

const char *severity_word(enum severity s);   /* in JSON */
const char *certainty_word(enum certainty c); /* in JSON */

#endif
