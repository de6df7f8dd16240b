/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/command.h"

#include "tests/tap.h"

static struct doctor_options o;
static char error[256];
static const char *locale = "zh_CN.UTF-8";

static int parse(const char *line)
{
    static char copy[256], *words[32];
    int n = 0;
    (void)snprintf(copy, sizeof copy, "doctor %s", line);
    for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    words[n] = NULL;
    error[0] = 0;
    return doctor_options(n, words, locale, &o, error, sizeof error);
}

static void test_good(void)
{
    is_int(parse("nginx :80 -qt 500ms --fail-on=crit"), 0, "words and options in any order");
    is_int(o.n_targets, 2, "two targets");
    ok(o.quiet && o.wait_ms == 500 && o.fail_on == SEVERITY_CRIT, "short ones together");
    is_int(o.lang, LANG_ZH, "the language of the locale");
    is_int(parse("--lang en -t1.5s"), 0, "a fraction of a second");
    is_int(o.wait_ms, 1500, "is exact");
    is_int(o.lang, LANG_EN, "--lang overrules the locale");
    is_int(parse("-t 2"), 0, "a number alone");
    is_int(o.wait_ms, 2000, "is in seconds");
    ok(parse("--watch") == 0 && o.watch && o.watch_ms == 10000, "--watch alone");
    ok(parse("--watch=1s x") == 0 && o.watch_ms == 1000 && o.n_targets == 1, "--watch=1s");
    ok(parse("x --while -- ab -n 10 --json") == 0 && !o.json && o.n_targets == 1,
       "behind --while -- all belongs to the command");
    is_str(o.command ? o.command[3] : NULL, "--json", "also what looks like an option");
    ok(parse("--set owed_age_ms=5") == 0 && o.limits.value[THRESHOLD_owed_age_ms] == 5,
       "--set");
    ok(parse("--explain fd-limit") == 0 && o.explain, "--explain");
}

static void test_bad(void)
{
    static const char *const bad[][2] = {
        {"--nonsense",              "--help"            },
        {"-x",                      "--help"            },
        {"-t",                      "-t 2s"             },
        {"-t 1ms",                  "50ms to 600s"      },
        {"-t 2h",                   "50ms to 600s"      },
        {"-t 1.s",                  "50ms to 600s"      },
        {"--json=1",                "takes no value"    },
        {"--explain",               "value is missing"  },
        {"--explain no-rule",       "--rules"           },
        {"--lang fr",               "en and zh"         },
        {"--fail-on info",          "warn or crit"      },
        {"--watch=soon",            "--watch=10s"       },
        {"--set",                   "value is missing"  },
        {"--set owed_age_ms",       "NAME=NUMBER"       },
        {"--set nothing=1",         "--rules -v"        },
        {"--set owed_age_ms=-1",    "NAME=NUMBER"       },
        {"--while",                 "--while -- ab"     },
        {"--while ab",              "--while -- ab"     },
        {"--while --",              "--while -- ab"     },
        {"--from f --watch",        "judges a recording"},
        {"--watch --while -- true", "exclude each other"},
        {"-q --json",               "exclude each other"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(parse(bad[i][0]) != 0, "refused: %s", bad[i][0]);
        ok(strstr(error, bad[i][1]) != NULL, "with a remedy: %s", error);
    }
}

int main(void)
{
    test_good();
    ok(parse("-t 2h") != 0 && strstr(error, "50ms 到 600s"), "a complaint in Chinese: %s",
       error);
    ok(parse("--lang en -t 2h") != 0 && strstr(error, "50ms to 600s"),
       "--lang counts from where it stands: %s", error);
    locale = "C";
    test_bad();
    return tap_done();
}
