/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/words.h"

#include "tests/tap.h"
#include "weir/doctor/report/plain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *name, *text[LANG_COUNT];
};

static const struct row rows[] = {
#define ROW(...)        {__VA_ARGS__},
#define X(name, en, zh) ROW(#name, {en, zh})
#include "weir/doctor/report/words.def"
#undef X
#undef ROW
};

/* The conversions of a format, "%.60s%u"; a percent sign that no letter follows is none. */
static void conversions(const char *format, char out[128])
{
    size_t n = 0;
    for (const char *p = format; (p = strchr(p, '%')) != NULL; p++) {
        size_t len = 1 + strspn(p + 1, "-+0123456789.*lzjh");
        if (!((p[len] | 0x20) >= 'a' && (p[len] | 0x20) <= 'z') || n + len + 2 > 128)
            continue;
        memcpy(out + n, p, len + 1);
        n += len + 1;
    }
    out[n] = '\0';
}

static bool is_chinese(const char *s)
{
    for (struct wr_span all = wr_span_str(s); all.n;) {
        size_t at = 0;
        int32_t point = plain_next(all, &at);
        if (point >= 0x4e00 && point <= 0x9fff)
            return true;
        all = wr_span_sub(all, at, all.n);
    }
    return false;
}

/* Nothing in them is a word of English, or it is what everybody calls it. */
static bool is_the_same(const char *name)
{
    static const char *const same[] = {
        "D_RECORD",       "D_FROM",          "T_DENIED",     "K_BACKLOG",
        "K_NONBLOCK",     "K_NODELAY",       "K_KEEPALIVE",  "K_USER_TIMEOUT",
        "TOP_C_CPU",      "TOP_C_TIME_WAIT", "TOP_LIMIT_OF", "TOP_FROM_ERROR",
        "TOP_BAD_TARGET", "DOES_CHANNEL_OF", "TOP_COMMA",    "TOP_FINDING",
        "R_OF",           "R_COMMA",         "R_SEMICOLON",  "R_COLON",
        "R_LINE",         "R_CROSSED",       "R_LED_HERE",   "R_LED_END",
        "OWN_OPEN"};
    for (size_t i = 0; i < WR_ARRAY_LEN(same); i++)
        if (strcmp(same[i], name) == 0)
            return true;
    return false;
}

static void test_rows(void)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        char en[128], zh[128];
        conversions(r->text[LANG_EN], en);
        conversions(r->text[LANG_ZH], zh);
        if (!*r->text[LANG_EN] || !*r->text[LANG_ZH])
            ok(false, "%s: a language is missing", r->name);
        if (strcmp(en, zh) != 0)
            ok(false, "%s: \"%s\" takes %s, \"%s\" %s", r->name, r->text[LANG_EN], en,
               r->text[LANG_ZH], zh);
        if (is_chinese(r->text[LANG_ZH]) == is_the_same(r->name))
            ok(false, "%s: \"%s\" is not Chinese, or is_the_same() need not know it", r->name,
               r->text[LANG_ZH]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(rows[k].name, r->name) == 0)
                ok(false, "%s stands there twice", r->name);
    }
    ok(WR_ARRAY_LEN(rows) > 100, "%zu texts", WR_ARRAY_LEN(rows));
}

static void test_words(void)
{
    enum doctor_lang lang = LANG_EN;
    ok(lang_parse("zh", &lang) && lang == LANG_ZH, "zh");
    ok(lang_parse("en", &lang) && lang == LANG_EN, "en");
    ok(!lang_parse("zh_CN.UTF-8", &lang) && !lang_parse("", &lang), "no other word");
    is_int(lang_of_locale("zh_CN.UTF-8"), LANG_ZH, "a Chinese locale");
    is_int(lang_of_locale("C.UTF-8"), LANG_EN, "all others are English");
    is_int(lang_of_locale(""), LANG_EN, "none, too");
    is_str(word_error(LANG_ZH, -EACCES), "权限不足", "an error in Chinese");
    is_str(word_error(LANG_EN, -EACCES), "Permission denied", "and in English");
    is_str(word_error(LANG_ZH, -EXDEV), word_error(LANG_EN, -EXDEV), "a rare one in English");
    is_str(word_severity(LANG_ZH, SEVERITY_CRIT), "严重", "severity");
    is_str(word_certainty(LANG_EN, CERTAINTY_PROOF), "certain", "certainty");
}

int main(void)
{
    test_rows();
    test_words();
    return tap_done();
}
