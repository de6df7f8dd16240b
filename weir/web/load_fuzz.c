/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text is refused with a message, or becomes a generation: all modules' setters and settling. `include` and
 * files of certificates are read from a folder that holds nothing. */
#include "weir/web/load.h"

#include "libweir/base/assert.h"
#include "libweir/os/os.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    unsigned emergs;
};

static void say(void *ctx, int severity, const char *text, const char *hint)
{
    struct heard *h = ctx;
    WR_ASSERT(text && *text && (!hint || *hint));
    h->emergs += severity == WEB_SAY_EMERG;
}

/* Absolute paths would lead to this machine's own files. */
static bool is_tame(struct wr_span text)
{
    return wr_span_find(text, WR_LIT("include /")) < 0 &&
           wr_span_find(text, WR_LIT("\"/")) < 0 && wr_span_find(text, WR_LIT("..")) < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard heard = {0};
    struct web_config *config = NULL;
    if (!is_tame(wr_span(data, size)))
        return 0;
    char *text = malloc(size + 1);
    WR_ASSERT(text);
    memcpy(text, data, size);
    text[size] = '\0';
    const struct web_source source = {
        .prefix = "/nonexistent/",
        .path = "/nonexistent/t.conf",
        .text = text,
        .say = say,
        .ctx = &heard,
    };
    int err = web_load(wr_os_heap(), &source, NULL, &config);
    WR_ASSERT(err ? heard.emergs > 0 && !config : heard.emergs == 0 && config);
    web_config_free(&config);
    free(text);
    return 0;
}
