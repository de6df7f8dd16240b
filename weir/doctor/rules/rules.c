/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/rules.h"

#include "weir/doctor/look/facts.h"

#include "libweir/base/assert.h"

#include <string.h>

/* clang-format off */
#define ROW(n)           ((uint8_t)RULE_##n)
#define EXPLAINS_NOTHING NULL, 0

/* The names inside EXPLAINS(...) become enum values: one level of macro per length keeps rules.def readable. */
#define E1(a)      ROW(a)
#define E2(a, ...) ROW(a), E1(__VA_ARGS__)
#define E3(a, ...) ROW(a), E2(__VA_ARGS__)
#define E4(a, ...) ROW(a), E3(__VA_ARGS__)
#define E5(a, ...) ROW(a), E4(__VA_ARGS__)
#define E6(a, ...) ROW(a), E5(__VA_ARGS__)
#define E7(a, ...) ROW(a), E6(__VA_ARGS__)
#define E8(a, ...) ROW(a), E7(__VA_ARGS__)
#define E9(a, ...) ROW(a), E8(__VA_ARGS__)
#define E10(a, ...) ROW(a), E9(__VA_ARGS__)
#define E11(a, ...) ROW(a), E10(__VA_ARGS__)
#define E12(a, ...) ROW(a), E11(__VA_ARGS__)
#define PICK(a, b, c, d, e, f, g, h, i, j, k, l, name, ...) name
#define LIST(...) \
    PICK(__VA_ARGS__, E12, E11, E10, E9, E8, E7, E6, E5, E4, E3, E2, E1, )(__VA_ARGS__)
#define EXPLAINS(...)                   \
    (const uint8_t[]){LIST(__VA_ARGS__)}, \
        (unsigned)sizeof((const uint8_t[]){LIST(__VA_ARGS__)})

static const struct rule rules[RULE_COUNT] = {
#define X(NAME, id, severity, certainty, see, scope, explains) \
    [RULE_##NAME] = {id, SEVERITY_##severity, CERTAINTY_##certainty, see, scope, explains},
#include "weir/doctor/rules/rules.def"
#undef X
};

/* A rule may have several rows. */
_Static_assert(RULE_COUNT <= 64, "a bit for each rule");
static const uint64_t treated = 0
#define X(NAME, way, KIND, to, undo, does, does_zh, costs, costs_zh) \
    | (uint64_t)1 << RULE_##NAME
#include "weir/doctor/rules/treatments.def"
#undef X
    ;

static const struct threshold thresholds[THRESHOLD_COUNT] = {
    [THRESHOLD_NONE] = {"", "", 0},
#define X(name, value, what) [THRESHOLD_##name] = {#name, what, value},
#include "weir/doctor/rules/thresholds.def"
#undef X
};
/* clang-format on */

const struct rule *rule_get(enum rule_name name)
{
    WR_ASSERT(name < RULE_COUNT);
    return &rules[name];
}

bool rule_is_treated(enum rule_name name)
{
    WR_ASSERT(name < RULE_COUNT);
    return treated >> name & 1;
}

enum rule_name rule_find(const char *id)
{
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        if (strcmp(rules[i].id, id) == 0)
            return (enum rule_name)i;
    }
    return RULE_COUNT;
}

bool rule_explains(enum rule_name cause, enum rule_name consequence)
{
    const struct rule *r = rule_get(cause);
    for (unsigned i = 0; i < r->n_explains; i++) {
        if (r->explains[i] == consequence)
            return true;
    }
    return false;
}

const struct threshold *threshold_get(enum threshold_name name)
{
    WR_ASSERT(name < THRESHOLD_COUNT);
    return &thresholds[name];
}

void thresholds_init(struct thresholds *t)
{
    for (unsigned i = 0; i < THRESHOLD_COUNT; i++)
        t->value[i] = thresholds[i].value;
}

const char *severity_word(enum severity s)
{
    static const char *const words[] = {"info", "warning", "critical"};
    return words[s];
}

const char *certainty_word(enum certainty c)
{
    static const char *const words[] = {"hint", "likely", "proof"};
    return words[c];
}
