/* SPDX-License-Identifier: BSD-2-Clause */
/* A normal path stays inside, and normalising its encoded form gives it again. */
#include "libweir/http/uri.h"

#include "libweir/base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct wr_span path)
{
    struct wr_span rest = path, segment;
    WR_ASSERT(path.n && path.p[0] == '/' && wr_span_find_char(path, 0) < 0);
    while (wr_span_split(&rest, '/', &segment))
        WR_ASSERT(!wr_span_eq(segment, WR_LIT(".")) && !wr_span_eq(segment, WR_LIT("..")));
}

static void check_path(struct wr_span raw, unsigned flags)
{
    char *mem = malloc(raw.n + 1), *encoded = malloc(3 * raw.n + 1),
         *mem2 = malloc(3 * raw.n + 1);
    struct wr_span path, again;
    WR_ASSERT(mem && encoded && mem2);
    if (wr_path_normalise(raw, flags, mem, &path) == 0) {
        WR_ASSERT(path.n <= raw.n);
        check_inside(path);
        if (flags & WR_PATH_MERGE_SLASHES)
            WR_ASSERT(wr_span_find(path, WR_LIT("//")) < 0);
        int err = wr_path_normalise(wr_path_encode(path, encoded), flags, mem2, &again);
        WR_ASSERT(err == 0 && wr_span_eq(path, again));
    }
    free(mem);
    free(encoded);
    free(mem2);
}

static void check_uri(struct wr_span text, enum wr_method method)
{
    struct wr_uri u;
    if (wr_uri_parse(text, method, &u) != WR_BAD_NONE)
        return;
    if (u.form == WR_TARGET_ORIGIN || u.form == WR_TARGET_ABSOLUTE)
        WR_ASSERT(u.path.n && u.path.p[0] == '/');
    if (u.form == WR_TARGET_ABSOLUTE || u.form == WR_TARGET_AUTHORITY) {
        struct wr_host h;
        int err = wr_host_parse(u.authority, &h);
        WR_ASSERT(err == 0 && wr_host_eq(h, u.host, 80));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span text = wr_span(data, size), n, v;
    for (unsigned flags = 0; flags < 4; flags++)
        check_path(text, flags);
    check_uri(text, WR_METHOD_GET);
    check_uri(text, WR_METHOD_OPTIONS);
    check_uri(text, WR_METHOD_CONNECT);
    while (wr_query_next(&text, &n, &v))
        WR_ASSERT(wr_span_find_char(n, '&') < 0 && wr_span_find_char(v, '&') < 0);
    return 0;
}
