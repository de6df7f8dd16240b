/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/command.h"

#include "libweir/base/num.h"
#include "weir/doctor/report/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct parse {
    struct doctor_options *o;
    char *error;
    size_t room;
    const char *option; /* as it was spelled */
};

static int bad(struct parse *p, const char *value, const char *remedy)
{
    (void)snprintf(p->error, p->room, "%s%s%.60s%s: %s", p->option, value ? " \"" : "",
                   value ? value : "", value ? "\"" : "", remedy);
    return -EINVAL;
}

/* ---- values ------------------------------------------------------------------------------------------ */
/* A number without a unit is seconds, also "0.5": as people write it for sleep(1). */
static int duration(struct wr_span text, uint64_t *out_ms)
{
    uint64_t whole = 0, part = 0;
    struct wr_span seconds, tenths = text;
    if (wr_span_has_suffix(tenths, WR_LIT("s")) && !wr_span_has_suffix(tenths, WR_LIT("ms")))
        tenths.n--;
    if (wr_span_find_char(tenths, '.') < 0)
        return wr_num_parse_duration(text, out_ms);
    if (!wr_span_split(&tenths, '.', &seconds) || tenths.n == 0 || tenths.n > 3 ||
        wr_num_parse_between(seconds, 0, 1000000, &whole) ||
        wr_num_parse_between(tenths, 0, 999, &part))
        return -EINVAL;
    for (size_t i = tenths.n; i < 3; i++)
        part *= 10;
    *out_ms = whole * 1000 + part;
    return 0;
}

static int set_wait(struct parse *p, const char *value)
{
    uint64_t ms;
    if (duration(wr_span_str(value), &ms) || ms < DOCTOR_WAIT_LEAST_MS ||
        ms > DOCTOR_WAIT_MOST_MS)
        return bad(p, value, WORD(p->o->lang, O_TIME));
    p->o->wait_ms = (uint32_t)ms;
    return 0;
}

static int set_watch(struct parse *p, const char *value)
{
    uint64_t ms = DOCTOR_WATCH_MS;
    p->o->watch = true;
    if (value && (duration(wr_span_str(value), &ms) || ms < 100 || ms > 86400000))
        return bad(p, value, WORD(p->o->lang, O_WATCH));
    p->o->watch_ms = (uint32_t)ms;
    return 0;
}

static int set_lang(struct parse *p, const char *value)
{
    return lang_parse(value, &p->o->lang) ? 0 : bad(p, value, WORD(p->o->lang, O_LANG));
}

static int set_fail_on(struct parse *p, const char *value)
{
    if (strcmp(value, "warn") && strcmp(value, "crit"))
        return bad(p, value, WORD(p->o->lang, O_FAIL_ON));
    p->o->fail_on = strcmp(value, "crit") == 0 ? SEVERITY_CRIT : SEVERITY_WARN;
    return 0;
}

static int set_explain(struct parse *p, const char *value)
{
    if (rule_find(value) == RULE_COUNT)
        return bad(p, value, WORD(p->o->lang, O_RULE));
    p->o->explain = value;
    return 0;
}

static int set_threshold(struct parse *p, const char *value)
{
    struct wr_span rest = wr_span_str(value), name;
    uint64_t v;
    if (!wr_span_split(&rest, '=', &name) || !rest.p || wr_num_parse_u64(rest, &v))
        return bad(p, value, WORD(p->o->lang, O_SET));
    for (unsigned i = THRESHOLD_NONE + 1; i < THRESHOLD_COUNT; i++) {
        if (!wr_span_eq(name, wr_span_str(threshold_get((enum threshold_name)i)->name)))
            continue;
        p->o->limits.value[i] = v;
        return 0;
    }
    return bad(p, value, WORD(p->o->lang, O_THRESHOLD));
}

static int set_record(struct parse *p, const char *value)
{
    p->o->record = value;
    return *value ? 0 : bad(p, value, WORD(p->o->lang, O_FILE));
}

static int set_from(struct parse *p, const char *value)
{
    p->o->from = value;
    return *value ? 0 : bad(p, value, WORD(p->o->lang, O_FILE));
}

/* ---- options ----------------------------------------------------------------------------------------- */
enum takes {
    NOTHING,
    VALUE,
    MAYBE, /* only as --option=value */
};

struct option {
    const char *name;
    char letter;
    enum takes takes;
    size_t flag; /* of struct doctor_options, where there is no function */
    int (*set)(struct parse *p, const char *value);
};

#define FLAG(member) offsetof(struct doctor_options, member)

static const struct option options[] = {
    {"--explain",  0,   VALUE,   0,              set_explain  },
    {"--fail-on",  0,   VALUE,   0,              set_fail_on  },
    {"--from",     0,   VALUE,   0,              set_from     },
    {"--help",     'h', NOTHING, FLAG(help),     NULL         },
    {"--json",     0,   NOTHING, FLAG(json),     NULL         },
    {"--lang",     0,   VALUE,   0,              set_lang     },
    {"--quiet",    'q', NOTHING, FLAG(quiet),    NULL         },
    {"--record",   0,   VALUE,   0,              set_record   },
    {"--rules",    0,   NOTHING, FLAG(rules),    NULL         },
    {"--set",      0,   VALUE,   0,              set_threshold},
    {"--time",     't', VALUE,   0,              set_wait     },
    {"--upstream", 0,   NOTHING, FLAG(upstream), NULL         },
    {"--verbose",  'v', NOTHING, FLAG(verbose),  NULL         },
    {"--watch",    0,   MAYBE,   0,              set_watch    },
};

static const struct option *long_option(struct wr_span name)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(options); i++)
        if (wr_span_eq(name, wr_span_str(options[i].name)))
            return &options[i];
    return NULL;
}

static const struct option *short_option(char letter)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(options); i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

static int apply(struct parse *p, const struct option *o, const char *value)
{
    if (o->set)
        return o->set(p, value);
    *(bool *)((char *)p->o + o->flag) = true;
    return 0;
}

/* --name, --name=value, --name value. *io_next: the next word, which it may take. */
static int one_long(struct parse *p, const char *word, char ***io_next)
{
    struct wr_span rest = wr_span_str(word), name;
    const char *equals = strchr(word, '=');
    (void)wr_span_split(&rest, '=', &name);
    const struct option *o = long_option(name);
    p->option = word;
    if (!o)
        return bad(p, NULL, WORD(p->o->lang, O_UNKNOWN));
    p->option = o->name;
    if (o->takes == NOTHING && equals)
        return bad(p, NULL, WORD(p->o->lang, O_NO_VALUE));
    if (o->takes == VALUE && !equals && !**io_next)
        return bad(p, NULL, WORD(p->o->lang, O_VALUE));
    const char *value = equals ? equals + 1 : NULL;
    if (o->takes == VALUE && !value)
        value = *(*io_next)++;
    return apply(p, o, value);
}

/* -q, -qv, -t2s, -t 2s */
static int short_ones(struct parse *p, const char *word, char ***io_next)
{
    char spelled[3] = "-?";
    int err = 0;
    for (const char *c = word + 1; *c && !err; c++) {
        const struct option *o = short_option(*c);
        spelled[1] = *c;
        p->option = spelled;
        if (!o)
            return bad(p, NULL, WORD(p->o->lang, O_UNKNOWN));
        if (o->takes == NOTHING) {
            err = apply(p, o, NULL);
            continue;
        }
        if (!c[1] && !**io_next)
            return bad(p, NULL, WORD(p->o->lang, O_SHORT_VALUE));
        return apply(p, o, c[1] ? c + 1 : *(*io_next)++);
    }
    return err;
}

static int take_command(struct parse *p, char **words)
{
    if (!*words || strcmp(*words, "--") != 0 || !words[1])
        return bad(p, NULL, WORD(p->o->lang, O_COMMAND));
    p->o->command = words + 1;
    return 0;
}

static int agree(struct parse *p)
{
    const struct doctor_options *o = p->o;
    p->option = "--from";
    if (o->from && (o->watch || o->command || o->record || o->upstream))
        return bad(p, NULL, WORD(p->o->lang, O_FROM));
    p->option = "--while";
    if (o->command && (o->watch || o->upstream))
        return bad(p, NULL, WORD(p->o->lang, O_WHILE));
    p->option = "--record";
    if (o->record && o->watch)
        return bad(p, NULL, WORD(p->o->lang, O_RECORD));
    p->option = "--quiet";
    if (o->quiet && o->json)
        return bad(p, NULL, WORD(p->o->lang, O_QUIET));
    return 0;
}

static int one_word(struct parse *p, char ***io_next)
{
    char *word = *(*io_next)++;
    if (strcmp(word, "--while") == 0) {
        p->option = word;
        int err = take_command(p, *io_next);
        while (!err && **io_next)
            ++*io_next;
        return err;
    }
    if (strncmp(word, "--", 2) == 0 && word[2])
        return one_long(p, word, io_next);
    if (word[0] == '-' && word[1] && word[1] != '-')
        return short_ones(p, word, io_next);
    if (strcmp(word, "--") == 0)
        return 0;
    p->option = word;
    if (p->o->n_targets == DOCTOR_TARGETS)
        return bad(p, NULL, WORD(p->o->lang, O_TARGETS));
    p->o->target[p->o->n_targets++] = word;
    return 0;
}

int doctor_options(int argc, char **argv, const char *locale, struct doctor_options *out,
                   char *error, size_t n)
{
    struct parse p = {.o = out, .error = error, .room = n};
    *out = (struct doctor_options){.fail_on = SEVERITY_WARN};
    out->lang = lang_of_locale(locale);
    thresholds_init(&out->limits);
    char **next = argv + (argc > 0);
    int err = 0;
    while (!err && *next)
        err = one_word(&p, &next);
    return err ? err : agree(&p);
}
