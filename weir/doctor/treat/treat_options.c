/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of weir treat.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/stats/text.h"

#include <stdio.h>

#define WAIT_MS 1000

static const struct treatment treatments[] = {
#define X(RULE, way_, KIND, to_, does_, costs_, undo_) \
    {RULE_##RULE, way_, &treat_kind_##KIND, to_, does_, costs_, undo_},
#include "weir/doctor/rules/treatments.def"
#undef X
};

const struct treatment *treatment_at(unsigned i)
{
    return i < WR_ARRAY_LEN(treatments) ? &treatments[i] : NULL;
}

const struct treatment *treatment_find(enum rule_name rule, const char *way)
{
    for (unsigned i = 0; i < WR_ARRAY_LEN(treatments); i++)
        if (treatments[i].rule == rule && (!way || strcmp(way, treatments[i].way) == 0))
            return &treatments[i];
    return NULL;
}

static void say(int fd, const struct stats_text *t)
{
    (void)(wr_os_write(fd, t->p, t->n) < 0); /* nobody reads: nothing to be done */
}

static int usage(const char *what, const char *word)
{
    struct stats_text t = {.heap = wr_os_heap()};
    stats_printf(&t, "weir treat: %s%s%s%s; `weir treat --help` tells how\n", what,
                 word ? " \"" : "", word ? word : "", word ? "\"" : "");
    say(2, &t);
    stats_text_free(&t);
    return TREAT_USAGE;
}

static int help(void)
{
    struct stats_text t = {.heap = wr_os_heap()};
    stats_put(
        &t,
        WR_LIT(
            "usage: weir treat RULE --pid PID | :PORT [--way WAY] [--to VALUE] [--fd N,N...]\n"
            "                  [--yes] [--dry-run] [--undo] [--json] [-t TIME]\n"
            "                  [--set THRESHOLD=N]\n\n"
            "Applies the remedy that `weir doctor` prints as \"Now\" to the running process.\n"
            "It is refused when the finding no longer holds, and asks unless --yes is "
            "given.\n\n"));
    for (unsigned i = 0; i < WR_ARRAY_LEN(treatments); i++) {
        stats_printf(&t, "  %s --way %s\n            ", rule_get(treatments[i].rule)->id,
                     treatments[i].way);
        treat_put_text(&t, wr_span_str(treatments[i].does));
    }
    stats_put(&t, WR_LIT("\nExit status: 0 done, 1 it did not help, 2 refused, 3 no such "
                         "process, 4 not permitted,\n64 wrong command line.\n"));
    say(1, &t);
    stats_text_free(&t);
    return 1;
}

static int number(const char *word, uint64_t least, uint64_t most, uint64_t *out)
{
    return wr_num_parse_between(wr_span_str(word), least, most, out);
}

static int port(const char *word, struct treat_options *out)
{
    uint64_t v;
    if (number(word + 1, 1, UINT16_MAX, &v))
        return usage("this is no port", word);
    out->port = (uint16_t)v;
    return 0;
}

static int fd_list(const char *word, struct treat_options *out)
{
    struct wr_span rest = wr_span_str(word), piece;
    uint64_t v;
    while (wr_span_split(&rest, ',', &piece))
        if (wr_num_parse_between(piece, 0, INT32_MAX, &v))
            return usage("this is no list of descriptors", word);
    out->fds = word;
    return 0;
}

static int set_limit(const char *word, struct treat_options *out)
{
    struct wr_span value = wr_span_str(word), name;
    (void)wr_span_split(&value, '=', &name);
    for (unsigned i = 1; i < THRESHOLD_COUNT; i++)
        if (wr_span_eq(name, wr_span_str(threshold_get((enum threshold_name)i)->name)) &&
            wr_num_parse_u64(value, &out->limits.value[i]) == 0)
            return 0;
    return usage("--set takes THRESHOLD=NUMBER as `weir doctor --rules -v` lists them, not",
                 word);
}

/* What takes a value. */
static int valued(const char *option, const char *value, struct treat_options *out)
{
    uint64_t v = 0;
    if (strcmp(option, "--pid") == 0) {
        if (number(value, 1, INT32_MAX, &v))
            return usage("this is no process number", value);
        out->pid = (uint32_t)v;
    } else if (strcmp(option, "--to") == 0) {
        if (number(value, 1, INT32_MAX, &out->to))
            return usage("--to takes a number from 1, not", value);
        out->has_to = true;
    } else if (strcmp(option, "--way") == 0) {
        out->way = value;
    } else if (strcmp(option, "--fd") == 0) {
        return fd_list(value, out);
    } else if (strcmp(option, "--set") == 0) {
        return set_limit(value, out);
    } else if (strcmp(option, "-t") == 0) {
        if (wr_num_parse_duration(wr_span_str(value), &v) || v < 100 || v > 60000)
            return usage("-t takes a time from 100ms to 60s, not", value);
        out->wait_ms = (uint32_t)v;
    } else {
        return usage("unknown option", option);
    }
    return 0;
}

static bool flag(const char *word, struct treat_options *out)
{
    struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"--yes",     &out->yes    },
        {"--dry-run", &out->dry_run},
        {"--json",    &out->json   },
        {"--undo",    &out->undo   },
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(flags); i++)
        if (strcmp(word, flags[i].word) == 0)
            return *flags[i].flag = true;
    return false;
}

static int whole(const struct treat_options *o, const char *rule)
{
    if (!rule)
        return usage("name the finding that is to be treated", NULL);
    if (o->rule == RULE_COUNT)
        return usage("the doctor has no rule", rule);
    if (!treatment_find(o->rule, NULL))
        return usage("a running process cannot be treated for", rule);
    if (!treatment_find(o->rule, o->way))
        return usage("there is no such --way for that", o->way);
    if (!o->pid == !o->port)
        return usage("name one process: --pid PID, or :PORT", NULL);
    if (o->json && !o->yes && !o->dry_run)
        return usage("--json asks nothing: it needs --yes or --dry-run", NULL);
    if (o->undo && (!o->fds || !treatment_find(o->rule, o->way)->undo[0]))
        return usage("--undo takes back what a printed command names with --fd", NULL);
    return 0;
}

int treat_parse(int argc, char **argv, struct treat_options *out)
{
    const char *rule = NULL;
    *out = (struct treat_options){.rule = RULE_COUNT, .wait_ms = WAIT_MS};
    thresholds_init(&out->limits);
    for (int i = 1; i < argc; i++) {
        int err = 0;
        const char *w = argv[i];
        if (strcmp(w, "--help") == 0 || strcmp(w, "-h") == 0)
            return help();
        if (flag(w, out))
            continue;
        if (w[0] == '-')
            err = i + 1 < argc ? valued(w, argv[i + 1], out) : usage("a value is missing", w);
        else if (w[0] == ':')
            err = port(w, out);
        else if (rule)
            err = usage("one finding at a time, not also", w);
        else
            rule = w;
        if (err)
            return err;
        i += w[0] == '-';
    }
    out->rule = rule ? rule_find(rule) : RULE_COUNT;
    return whole(out, rule);
}
