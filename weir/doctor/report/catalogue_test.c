/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/catalogue.h"

#include "tests/tap.h"

static bool complete(const struct rule_text *t)
{
    const char *const all[] = {t->title, t->sentence, t->why, t->now, t->fix, t->not_it};
    for (unsigned i = 0; i < 6; i++) {
        if (!all[i] || !catalogue_known(all[i]))
            return false;
    }
    return *t->title && *t->sentence && *t->why && *t->fix;
}

static void test_catalogue(void)
{
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        for (unsigned l = 0; l < LANG_COUNT; l++) {
            const struct rule_text *t = catalogue_text((enum rule_name)i, (enum doctor_lang)l);
            if (!complete(t))
                ok(false, "texts of %s, language %u", rule_get((enum rule_name)i)->id, l);
        }
    }
    ok(!catalogue_known("{nonsense}"), "an unknown name is seen");
    ok(catalogue_known("{pid} {unaccepted}"), "known names");
}

int main(void)
{
    test_catalogue();
    return tap_done();
}
