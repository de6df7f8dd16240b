/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/precompressed.h"

#include <string.h>

const struct conf_enum precompressed_modes[] = {
    {"off",    PRECOMPRESSED_OFF   },
    {"on",     PRECOMPRESSED_ON    },
    {"always", PRECOMPRESSED_ALWAYS},
    {NULL,     0                   }
};

static int answer(struct web_req *r, const struct file_info *info, struct wr_span coding)
{
    int rc = web_discard_body(r);
    if (rc)
        return rc;
    r->out.status = 200;
    r->out.length = info->size;
    r->out.encoding = coding;
    if (file_stamp(r, info))
        return 500;
    web_set_type(r);
    rc = web_send_head(r);
    if (rc)
        return rc;
    struct web_piece *p = web_piece_file(r, info->file, 0, info->size, true);
    return p && web_send(r, p) >= 0 ? WEB_DONE : WEB_ERROR;
}

int precompressed_send(struct web_req *r, int mode, const struct precompressed *kind)
{
    if (mode == PRECOMPRESSED_OFF || r->uri.n == 0 || r->uri.p[r->uri.n - 1] == '/' ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD))
        return WEB_NEXT;
    bool taken = mode == PRECOMPRESSED_ALWAYS || web_encoding_accepted(r, kind->coding);
    if (!taken && !web_encoding_varies(r))
        return WEB_NEXT;
    struct wr_span path;
    size_t root_n;
    char *text = web_map_path(r, kind->suffix.n, &path, &root_n);
    if (!text)
        return 500;
    memcpy(text + path.n, kind->suffix.p, kind->suffix.n);
    path = wr_span(text, path.n + kind->suffix.n);
    text[path.n] = 0;
    struct file_info info = {0};
    if (file_find(r, path, 0, &info) || !info.is_file || !info.file)
        return WEB_NEXT;
    int rc = WEB_NEXT;
    if (mode == PRECOMPRESSED_ON && web_encoding_vary(r))
        rc = 500;
    else if (taken)
        rc = answer(r, &info, kind->coding);
    web_file_unref(&info.file);
    return rc;
}
