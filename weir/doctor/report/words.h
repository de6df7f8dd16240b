/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_WORDS_H
#define DOCTOR_WORDS_H

/*
 * What the commands doctor, treat and top say beside the texts of the rules: words.def, one row for each text with all
 * its languages.
 *
 * WORD(lang, NAME) is the text. Where it is a format, the compiler checks what it is given against each language,
 * because the rows are arrays it can see; words_test checks that the languages agree with each other.
 *
 * 1. A row without a language does not compile, an empty one fails the test.
 * 2. Formats of a row take the same values in the same order.
 */

#include "libweir/base/compiler.h"
#include "weir/doctor/report/catalogue.h"

#include <inttypes.h>

#define X(name, en, zh)                                \
    static const char word_en_##name[] WR_UNUSED = en; \
    static const char word_zh_##name[] WR_UNUSED = zh;
#include "weir/doctor/report/words.def"
#undef X

#define WORD(lang, name) ((lang) == LANG_ZH ? word_zh_##name : word_en_##name)
/* An initialiser of const char *[LANG_COUNT]. */
#define WORDS(name)                    \
    {                                  \
        word_en_##name, word_zh_##name \
    }

/* What a negative errno means. */
const char *word_error(enum doctor_lang lang, int err);
/* "info", "warning", "critical"; "hint", "likely", "certain". */
const char *word_severity(enum doctor_lang lang, enum severity s);
const char *word_severity_loud(enum doctor_lang lang, enum severity s); /* "WARNING" */
const char *word_certainty(enum doctor_lang lang, enum certainty c);

/* "en" or "zh"; false: another word. */
bool lang_parse(const char *word, enum doctor_lang *out);
/* Of LC_ALL, LC_MESSAGES or LANG, the first that is set. */
enum doctor_lang lang_of_locale(const char *locale);
/* The environment's. */
const char *lang_locale(void);

#endif
