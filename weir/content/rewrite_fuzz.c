/* SPDX-License-Identifier: BSD-2-Clause */
/* An http block, a form feed, a head: the block is refused with a message, or the request is rewritten to an end. Without
 * a form feed the text is the inside of a location and the head a fixed one. */
#include "weir/web/vars_kit.h"

#include "libweir/base/assert.h"
#include "tests/mem_kit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] = "GET /a/b%20c?x=1&y=%41 HTTP/1.1\r\nHost: a.test\r\nCookie: c=d\r\n"
                            "X-Forwarded-For: 1.2.3.4\r\nReferer: http://b.test/\r\n\r\n";

static void run(struct wr_span conf, struct wr_span head)
{
    int err = kit_load(conf);
    if (err) {
        WR_ASSERT(err == -ENOMEM || kit.said[0]);
        return;
    }
    if (kit_begin(head))
        return;
    int rc = kit_run();
    WR_ASSERT(rc == WEB_NEXT || rc == WEB_OK || rc == WEB_DONE || rc >= 200);
    WR_ASSERT(kit.r.uri.n > 0);
    int status = rc == WEB_DONE ? (int)strtol(kit.answer, NULL, 10)
                                : 0; /* "301 http://...": what goes into a header */
    if ((status >= 301 && status <= 303) || status == 307 || status == 308)
        for (const char *p = kit.answer; *p; p++)
            WR_ASSERT(p - kit.answer > 3 && (unsigned char)*p < 0x20 ? false : true);
    for (uint32_t i = 0; web_var_name(kit.g.vars, i).p; i++)
        (void)web_var_get_fresh(&kit.r, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    static struct mem_kit mem;
    static char text[16384];
    struct wr_span rest = wr_span(data, size), conf;
    if (size > 8192)
        return 0;
    if (!ready && (mem_kit_init(&mem, wr_heap_libc(), NULL) || kit_init(&mem.arenas)))
        abort();
    ready = true;
    if (wr_span_find_char(rest, '\f') < 0) {
        int n = snprintf(text, sizeof(text), "server { location / { %.*s\n} }", WR_SPANF(rest));
        run(wr_span(text, (size_t)n), wr_span(fixed, sizeof(fixed) - 1));
        return 0;
    }
    (void)wr_span_split(&rest, '\f', &conf);
    run(conf, rest);
    return 0;
}
