/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/num.h"
#include "weir/doctor/report/words.h"
#include "weir/doctor/top/top.h"
#include "weir/doctor/top/top_view.h"

#include <errno.h>
#include <stdio.h>

struct words {
    int argc;
    char **argv;
    int at;
};

/* "--name VALUE" or "--name=VALUE"; NULL in *out: it is another option. -EINVAL: the value is missing. */
static int value_of(struct words *w, const char *name, const char **out)
{
    const char *word = w->argv[w->at];
    size_t n = strlen(name);
    *out = NULL;
    if (strncmp(word, name, n) != 0 || (word[n] != '\0' && word[n] != '='))
        return 0;
    if (word[n] == '=')
        *out = word + n + 1;
    else if (w->at + 1 < w->argc)
        *out = w->argv[++w->at];
    return *out && **out ? 0 : -EINVAL;
}

static int interval(const char *text, struct top_options *out)
{
    uint64_t ms;
    if (wr_num_parse_duration(wr_span_str(text), &ms) || ms < TOP_INTERVAL_MIN_MS ||
        ms > TOP_INTERVAL_MAX_MS)
        return -EINVAL;
    out->interval_ms = (uint32_t)ms;
    return 0;
}

static bool flag(const char *word, struct top_options *out)
{
    if (strcmp(word, "--once") == 0)
        out->once = true;
    else if (strcmp(word, "--json") == 0)
        out->json = true;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        out->help = true;
    else
        return false;
    return true;
}

static int option(struct words *w, struct top_options *out, char *error, size_t n)
{
    const char *value;
    if (flag(w->argv[w->at], out))
        return 0;
    int err = value_of(w, "--interval", &value);
    if (!err && value)
        err = interval(value, out);
    if (err) {
        (void)snprintf(error, n, "%s", WORD(out->lang, TOP_INTERVAL));
        return err;
    }
    if (value)
        return 0;
    err = value_of(w, "--lang", &value);
    if (err || (value && !lang_parse(value, &out->lang))) {
        (void)snprintf(error, n, "%s", WORD(out->lang, TOP_LANG));
        return -EINVAL;
    }
    if (value) {
        out->lang_asked = true;
        return 0;
    }
    err = value_of(w, "--from", &value);
    if (err)
        (void)snprintf(error, n, "%s", WORD(out->lang, TOP_FROM));
    else if (value)
        out->from = value;
    else
        (void)snprintf(error, n, WORD(out->lang, TOP_UNKNOWN), w->argv[w->at]);
    return err || !value ? -EINVAL : 0;
}

int top_options(int argc, char **argv, const char *locale, struct top_options *out, char *error,
                size_t n)
{
    struct words w = {argc, argv, 1};
    *out = (struct top_options){.interval_ms = 1000, .lang = lang_of_locale(locale)};
    for (; w.at < argc; w.at++) {
        if (argv[w.at][0] == '-') {
            int err = option(&w, out, error, n);
            if (err)
                return err;
        } else if (out->target) {
            (void)snprintf(error, n, WORD(out->lang, TOP_ONE_TARGET), out->target, argv[w.at]);
            return -EINVAL;
        } else {
            out->target = argv[w.at];
        }
    }
    return 0;
}
