/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static wr_panic_hook *panic_hook;

wr_panic_hook *wr_panic_set_hook(wr_panic_hook *hook)
{
    wr_panic_hook *old = panic_hook;
    panic_hook = hook;
    return old;
}

void wr_panic(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    int n = snprintf(text, sizeof text, "weir: panic at %s:%d: ", file, line);
    if (n > 0 && (size_t)n < sizeof text) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
        va_end(ap);
    }
    if (panic_hook)
        panic_hook(text);
    else
        (void)fprintf(stderr, "%s\n", text);
    abort();
}
