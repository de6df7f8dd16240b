/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/out.h"

#include "libweir/os/os.h"

#include <stdarg.h>
#include <stdio.h>

void out_span(int fd, struct wr_span text)
{
    while (text.n) {
        ssize_t n = wr_os_write(fd, text.p, text.n);
        if (n <= 0)
            return;
        text = wr_span(text.p + n, text.n - (size_t)n);
    }
}

void out_print(int fd, const char *fmt, ...)
{
    char text[OUT_TEXT];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    out_span(fd, wr_span(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
}
