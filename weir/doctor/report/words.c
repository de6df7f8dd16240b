/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/words.h"

#include "libweir/base/err.h"
#include "weir/doctor/report/say.h"

#include <errno.h>
#include <string.h>

const char *word_error(enum doctor_lang lang, int err)
{
    static const struct {
        int err;
        const char *text[LANG_COUNT];
    } errors[] = {
        {-EACCES,  WORDS(E_DENIED)   },
        {-EPERM,   WORDS(E_PERMITTED)},
        {-ENOENT,  WORDS(E_MISSING)  },
        {-ESRCH,   WORDS(E_PROCESS)  },
        {-EEXIST,  WORDS(E_EXISTS)   },
        {-EISDIR,  WORDS(E_DIRECTORY)},
        {-ENOTDIR, WORDS(E_NO_DIR)   },
        {-ENOSPC,  WORDS(E_SPACE)    },
        {-EROFS,   WORDS(E_READ_ONLY)},
        {-EFBIG,   WORDS(E_BIG)      },
        {-ENOMEM,  WORDS(E_MEMORY)   },
        {-EIO,     WORDS(E_IO)       },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(errors); i++)
        if (errors[i].err == err)
            return errors[i].text[lang];
    return wr_err_text(err);
}

const char *word_severity(enum doctor_lang lang, enum severity s)
{
    static const char *const words[][LANG_COUNT] = {
        [SEVERITY_INFO] = WORDS(INFO),
        [SEVERITY_WARN] = WORDS(WARNING),
        [SEVERITY_CRIT] = WORDS(CRITICAL),
    };
    return words[s][lang];
}

const char *word_severity_loud(enum doctor_lang lang, enum severity s)
{
    static const char *const words[][LANG_COUNT] = {
        [SEVERITY_INFO] = WORDS(CAPITAL_INFO),
        [SEVERITY_WARN] = WORDS(CAPITAL_WARNING),
        [SEVERITY_CRIT] = WORDS(CAPITAL_CRITICAL),
    };
    return words[s][lang];
}

const char *word_certainty(enum doctor_lang lang, enum certainty c)
{
    static const char *const words[][LANG_COUNT] = {
        [CERTAINTY_HINT] = WORDS(HINT),
        [CERTAINTY_LIKELY] = WORDS(LIKELY),
        [CERTAINTY_PROOF] = WORDS(CERTAIN),
    };
    return words[c][lang];
}

bool lang_parse(const char *word, enum doctor_lang *out)
{
    static const char *const names[LANG_COUNT] = {[LANG_EN] = "en", [LANG_ZH] = "zh"};
    for (unsigned i = 0; i < LANG_COUNT; i++) {
        if (strcmp(word, names[i]) != 0)
            continue;
        *out = (enum doctor_lang)i;
        return true;
    }
    return false;
}

enum doctor_lang lang_of_locale(const char *locale)
{
    return strncmp(locale, "zh", 2) == 0 ? LANG_ZH : LANG_EN;
}

const char *lang_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++)
        if (*say_environment(names[i]))
            return say_environment(names[i]);
    return "";
}
