/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/treat/treat_private.h"

#include "tests/tap.h"

static struct treat_options o;

#define PARSE(...)                                                   \
    (__extension__({                                                 \
        char *argv_[] = {(char[]){"treat"}, __VA_ARGS__};            \
        treat_parse((int)(sizeof argv_ / sizeof *argv_), argv_, &o); \
    }))
#define W(s) ((char[]){s})

static void test_parse(void)
{
    is_int(PARSE(W("fd-limit"), W("--pid"), W("811"), W("--yes")), 0, "rule, process, yes");
    is_int(o.rule, RULE_FD_LIMIT, "the rule");
    is_int(o.pid, 811, "the process");
    ok(o.yes && !o.dry_run && !o.json, "the flags");
    is_int(PARSE(W(":8080"), W("backlog-clipped"), W("--to"), W("64"), W("-t"), W("500ms")), 0,
           "the target may come first");
    is_int(o.port, 8080, "a port");
    is_int(o.to, 64, "a value");
    is_int(o.wait_ms, 500, "a time");
    is_int(PARSE(W("et-listener-not-drained"), W("--way"), W("drain"), W("--pid"), W("1")), 0,
           "another way");
    is_int(PARSE(W("ipc-full"), W("--undo"), W("--fd"), W("3,7"), W("--pid"), W("1")), 0,
           "an undo");
}

static void test_wrong(void)
{
    is_int(PARSE(W("fd-limit")), TREAT_USAGE, "no process");
    is_int(PARSE(W("fd-limit"), W("--pid"), W("1"), W(":80")), TREAT_USAGE, "two processes");
    is_int(PARSE(W("fd-limit"), W("--pid"), W("0")), TREAT_USAGE, "no process number");
    is_int(PARSE(W("--pid"), W("1")), TREAT_USAGE, "no finding");
    is_int(PARSE(W("fd-limit"), W("ipc-full"), W("--pid"), W("1")), TREAT_USAGE,
           "two findings");
    is_int(PARSE(W("no-such"), W("--pid"), W("1")), TREAT_USAGE, "no such rule");
    is_int(PARSE(W("syn-flood"), W("--pid"), W("1")), TREAT_USAGE,
           "a rule without a treatment");
    is_int(PARSE(W("fd-limit"), W("--way"), W("drain"), W("--pid"), W("1")), TREAT_USAGE,
           "no such way");
    is_int(PARSE(W("fd-limit"), W(":0")), TREAT_USAGE, "no port");
    is_int(PARSE(W("fd-limit"), W(":80"), W("--json")), TREAT_USAGE, "JSON asks nothing");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--undo")), TREAT_USAGE,
           "an undo names descriptors");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--fd"), W("3,x")), TREAT_USAGE, "no such list");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--to")), TREAT_USAGE, "a value is missing");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--bogus")), TREAT_USAGE, "no option at the end");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--set"), W("fd_spare=x")), TREAT_USAGE,
           "no number");
    is_int(PARSE(W("ipc-full"), W(":80"), W("--set"), W("nothing=1")), TREAT_USAGE,
           "no such threshold");
    is_int(PARSE(W("fd-limit"), W(":80"), W("--set"), W("fd_spare=7")), 0, "another threshold");
    is_int(o.limits.value[THRESHOLD_fd_spare], 7, "is taken");
    is_int(PARSE(W("ipc-full"), W(":80"), W("-t"), W("1h")), TREAT_USAGE, "too long a look");
}

/* What the doctor prints as "Now" is what treat does, in both directions. */
static void test_catalogue(void)
{
    for (unsigned r = 0; r < RULE_COUNT; r++) {
        char command[96];
        bool named[LANG_COUNT], treated = rule_is_treated((enum rule_name)r);
        (void)snprintf(command, sizeof command, "weir treat %s --pid {pid}",
                       rule_get((enum rule_name)r)->id);
        for (unsigned l = 0; l < LANG_COUNT; l++)
            named[l] = strstr(catalogue_text((enum rule_name)r, (enum doctor_lang)l)->now,
                              command) != NULL;
        ok((treatment_find((enum rule_name)r, NULL) != NULL) == treated,
           "%s: the report says it is treated if treat does", rule_get((enum rule_name)r)->id);
        ok(named[LANG_EN] == treated && named[LANG_ZH] == treated,
           "%s: the catalogue names the treatment if there is one",
           rule_get((enum rule_name)r)->id);
    }
}

static bool is_ascii(const char *s)
{
    while (*s && !(*s & 0x80))
        s++;
    return !*s;
}

static void test_languages(void)
{
    const struct treatment *t;
    for (unsigned i = 0; (t = treatment_at(i)) != NULL; i++) {
        const char *id = rule_get(t->rule)->id;
        ok(is_ascii(t->does[LANG_EN]) && !is_ascii(t->does[LANG_ZH]) &&
               is_ascii(t->costs[LANG_EN]) && !is_ascii(t->costs[LANG_ZH]),
           "%s --way %s says in both languages what it does and costs", id, t->way);
        for (unsigned k = 0; k < 2; k++)
            ok(!*t->kind->label[k][LANG_EN] == !*t->kind->label[k][LANG_ZH],
               "%s --way %s: label %u", id, t->way, k);
    }
    is_int(PARSE(W("--lang=zh"), W("fd-limit"), W(":80")), 0, "a language");
    is_int(o.lang, LANG_ZH, "is taken");
    is_int(PARSE(W("--lang"), W("fr"), W("fd-limit"), W(":80")), TREAT_USAGE, "no language");
}

static void test_listed(void)
{
    struct treat t = {.o = &o};
    o.fds = "3,17";
    ok(hand_listed(&t, 3) && hand_listed(&t, 17), "descriptors of the list");
    ok(!hand_listed(&t, 1) && !hand_listed(&t, 7) && !hand_listed(&t, -1), "and no others");
    o.fds = NULL;
    ok(hand_listed(&t, 1), "without a list all");
}

int main(void)
{
    test_parse();
    test_wrong();
    test_catalogue();
    test_languages();
    test_listed();
    return tap_done();
}
