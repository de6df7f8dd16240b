/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/core.h"

#include <errno.h>

/*
 * root: its text, then the URI. alias: its text, then what of the URI lies behind the location's name; where the
 * location is a pattern, the text alone, which then has captures; and behind it the name that try_files has chosen.
 */
char *web_map_path(struct web_req *r, size_t extra, struct wr_span *out_path,
                   size_t *out_root_len)
{
    const struct core_root *root = &core_of(r->location)->root;
    struct wr_span base = root->path.text, tail = r->uri;
    if (!web_value_constant(&root->path) && web_value_eval(r, &root->path, &base))
        return NULL;
    if (root->regex && !r->uri_behind_alias)
        tail.n = 0;
    else if (root->alias && !root->regex)
        tail = wr_span_sub(tail, root->name_n, tail.n);
    /* A path with a NUL in it would be another one for the kernel. */
    if (memchr(base.p, '\0', base.n) || (tail.n && memchr(tail.p, '\0', tail.n)))
        return NULL;
    char *p = wr_arena_alloc(r->arena, base.n + tail.n + extra + 1);
    if (!p)
        return NULL;
    memcpy(p, base.p, base.n);
    if (tail.n)
        memcpy(p + base.n, tail.p, tail.n);
    p[base.n + tail.n] = '\0';
    *out_path = wr_span(p, base.n + tail.n);
    *out_root_len = base.n;
    return p;
}
