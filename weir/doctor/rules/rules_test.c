/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/rules.h"

#include "tests/tap.h"

#include <string.h>

static bool cycle_from(enum rule_name at, unsigned depth)
{
    if (depth > RULE_COUNT)
        return true;
    const struct rule *r = rule_get(at);
    for (unsigned i = 0; i < r->n_explains; i++) {
        if (cycle_from((enum rule_name)r->explains[i], depth + 1))
            return true;
    }
    return false;
}

static bool id_is_plain(const char *id)
{
    return *id && strspn(id, "abcdefghijklmnopqrstuvwxyz-") == strlen(id);
}

static void test_table(void)
{
    bool plain = true, own = true, acyclic = true;
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        const struct rule *r = rule_get((enum rule_name)i);
        plain &= id_is_plain(r->id);
        own &= rule_find(r->id) == (enum rule_name)i && r->see != 0;
        acyclic &= !cycle_from((enum rule_name)i, 0);
    }
    is_int(RULE_COUNT, 49, "all that can be decided from outside");
    ok(plain, "ids are lower case words");
    ok(own, "each id is one rule's, and each sees something");
    ok(acyclic, "nothing explains its own cause");
    is_int(rule_find("no-such-rule"), RULE_COUNT, "an unknown id");
    ok(rule_explains(RULE_FD_LIMIT, RULE_BUSY_SPIN), "the limit explains the spin");
    ok(!rule_explains(RULE_BUSY_SPIN, RULE_FD_LIMIT), "not the other way round");
}

static void test_thresholds(void)
{
    struct thresholds t;
    thresholds_init(&t);
    is_int(t.value[THRESHOLD_ports_percent], 90, "defaults are in the table");
    is_str(threshold_get(THRESHOLD_ports_percent)->name, "ports_percent", "with their names");
}

int main(void)
{
    test_table();
    test_thresholds();
    return tap_done();
}
