/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"

#include <stdarg.h>
#include <stdio.h>

/* Without the error log of a site: the process's own log. */
__attribute__((weak)) void web_error(struct web_req *r, int level, int err, const char *fmt,
                                     ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct web_worker *w = web_worker_of(r);
    if (w && w->on_error) {
        w->on_error(w, r, level, text);
        return;
    }
    if (web_log(r) && (enum wr_log_level)level >= wr_log_level_of(web_log(r)))
        wr_log_put(web_log(r), WR_HERE, (enum wr_log_level)level, "web", "error",
                   " text=%s err=%s", text, err ? wr_err_text(err) : "");
}
