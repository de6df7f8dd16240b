/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

struct err_row {
    const char *name, *stage, *text, *fix;
    int code;
};

static const struct err_row rows[] = {
#define X(name, code, stage, text, fix) {"WR_E_" #name, stage, text, fix, code},
#include "libweir/base/err.def"
#undef X
};

static const struct err_row *find(int err)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == err)
            return &rows[i];
    return NULL;
}

const char *wr_err_name(int err)
{
    const struct err_row *r = find(err);
    if (r)
        return r->name;
    if (err == 0)
        return "OK";
    const char *n = err < 0 && err > INT_MIN ? strerrorname_np(-err) : NULL;
    return n ? n : "E?";
}

const char *wr_err_text(int err)
{
    const struct err_row *r = find(err);
    if (r)
        return r->text;
    if (err == 0)
        return "no error";
    const char *t = err < 0 && err > INT_MIN ? strerrordesc_np(-err) : NULL;
    return t ? t : "unknown error";
}

const char *wr_err_stage(int err)
{
    const struct err_row *r = find(err);
    return r ? r->stage : "";
}

const char *wr_err_fix(int err)
{
    const struct err_row *r = find(err);
    return r ? r->fix : "";
}
