/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of weir treat.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/say.h"
#include "weir/stats/text.h"

#include <stdio.h>

#define WAIT_MS 1000

static const struct treatment treatments[] = {
#define ROW(rule, way, kind, to, undo, ...) {rule, way, kind, to, undo, __VA_ARGS__},
#define X(RULE, way, KIND, to, undo, does, does_zh, costs, costs_zh) \
    ROW(RULE_##RULE, way, &treat_kind_##KIND, to, undo, {does, does_zh}, {costs, costs_zh})
#include "weir/doctor/rules/treatments.def"
#undef X
#undef ROW
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

static int usage(const struct treat_options *o, const char *what, const char *word)
{
    struct stats_text t = {.heap = wr_os_heap()};
    stats_printf(&t, "weir treat: %s", what);
    if (word) {
        stats_put(&t, WR_LIT(" \""));
        plain_put(&t, wr_span_str(word));
        stats_put(&t, WR_LIT("\""));
    }
    stats_put(&t, wr_span_str(WORD(o->lang, T_USAGE)));
    (void)(say(2, wr_span(t.p, t.n)) < 0); /* nobody reads: nothing to be done */
    stats_text_free(&t);
    return TREAT_USAGE;
}

static int help(enum doctor_lang lang)
{
    const struct doctor_style style = {.lang = lang, .width = TREAT_WIDTH};
    struct stats_text t = {.heap = wr_os_heap()};
    stats_put(&t, wr_span_str(WORD(lang, TREAT_HELP)));
    for (unsigned i = 0; i < WR_ARRAY_LEN(treatments); i++) {
        stats_printf(&t, "  %s --way %s\n", rule_get(treatments[i].rule)->id,
                     treatments[i].way);
        report_spaces(&t, REPORT_BODY);
        report_wrap(&t, &style, REPORT_BODY, wr_span_str(treatments[i].does[lang]));
    }
    stats_put(&t, wr_span_str(WORD(lang, TREAT_EXITS)));
    (void)(say(1, wr_span(t.p, t.n)) < 0); /* nobody reads: nothing to be done */
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
        return usage(out, WORD(out->lang, T_PORT), word);
    out->port = (uint16_t)v;
    return 0;
}

static int fd_list(const char *word, struct treat_options *out)
{
    struct wr_span rest = wr_span_str(word), piece;
    uint64_t v;
    while (wr_span_split(&rest, ',', &piece))
        if (wr_num_parse_between(piece, 0, INT32_MAX, &v))
            return usage(out, WORD(out->lang, T_FDS), word);
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
    return usage(out, WORD(out->lang, T_SET), word);
}

/* What takes a value. */
static int valued(const char *option, const char *value, struct treat_options *out)
{
    uint64_t v = 0;
    if (strcmp(option, "--pid") == 0) {
        if (number(value, 1, INT32_MAX, &v))
            return usage(out, WORD(out->lang, T_PID), value);
        out->pid = (uint32_t)v;
    } else if (strcmp(option, "--to") == 0) {
        if (number(value, 1, INT32_MAX, &out->to))
            return usage(out, WORD(out->lang, T_TO), value);
        out->has_to = true;
    } else if (strcmp(option, "--way") == 0) {
        out->way = value;
    } else if (strcmp(option, "--fd") == 0) {
        return fd_list(value, out);
    } else if (strcmp(option, "--set") == 0) {
        return set_limit(value, out);
    } else if (strcmp(option, "--lang") == 0) {
        if (!lang_parse(value, &out->lang))
            return usage(out, WORD(out->lang, T_LANG), value);
    } else if (strcmp(option, "-t") == 0) {
        if (wr_num_parse_duration(wr_span_str(value), &v) || v < 100 || v > 60000)
            return usage(out, WORD(out->lang, T_TIME), value);
        out->wait_ms = (uint32_t)v;
    } else {
        return usage(out, WORD(out->lang, T_UNKNOWN), option);
    }
    return 0;
}

static bool takes_value(const char *word)
{
    static const char *const words[] = {"--pid", "--to",   "--way", "--fd",
                                        "--set", "--lang", "-t"};
    for (unsigned i = 0; i < WR_ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
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
        return usage(o, WORD(o->lang, T_NO_RULE), NULL);
    if (o->rule == RULE_COUNT)
        return usage(o, WORD(o->lang, T_RULE), rule);
    if (!treatment_find(o->rule, NULL))
        return usage(o, WORD(o->lang, T_UNTREATABLE), rule);
    if (!treatment_find(o->rule, o->way))
        return usage(o, WORD(o->lang, T_WAY), o->way);
    if (!o->pid == !o->port)
        return usage(o, WORD(o->lang, T_ONE_PROCESS), NULL);
    if (o->json && !o->yes && !o->dry_run)
        return usage(o, WORD(o->lang, T_JSON), NULL);
    if (o->undo && (!o->fds || !treatment_find(o->rule, o->way)->undo[0]))
        return usage(o, WORD(o->lang, T_UNDO), NULL);
    return 0;
}

int treat_parse(int argc, char **argv, struct treat_options *out)
{
    const char *rule = NULL;
    bool wants_help = false;
    *out = (struct treat_options){
        .rule = RULE_COUNT, .wait_ms = WAIT_MS, .lang = lang_of_locale(lang_locale())};
    thresholds_init(&out->limits);
    for (int i = 1; i < argc; i++) {
        int err = 0;
        const char *w = argv[i];
        if (strcmp(w, "--help") == 0 || strcmp(w, "-h") == 0) {
            wants_help = true;
            continue;
        }
        if (strncmp(w, "--lang=", 7) == 0) {
            err = valued("--lang", w + 7, out);
            if (err)
                return err;
            continue;
        }
        if (flag(w, out))
            continue;
        if (w[0] == '-')
            err = i + 1 < argc ? valued(w, argv[i + 1], out)
                               : usage(out,
                                       takes_value(w) ? WORD(out->lang, T_VALUE)
                                                      : WORD(out->lang, T_UNKNOWN),
                                       w);
        else if (w[0] == ':')
            err = port(w, out);
        else if (rule)
            err = usage(out, WORD(out->lang, T_ONE_FINDING), w);
        else
            rule = w;
        if (err)
            return err;
        i += w[0] == '-';
    }
    if (wants_help)
        return help(out->lang);
    out->rule = rule ? rule_find(rule) : RULE_COUNT;
    return whole(out, rule);
}
