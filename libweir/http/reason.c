/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/reason.h"

static const struct {
    const char *name, *text;
    int status;
} rows[WR_BAD_COUNT] = {
#define X(name, status, text) [WR_BAD_##name] = {#name, text, status},
#include "libweir/http/reason.def"
#undef X
};

static unsigned row_of(enum wr_reason r)
{
    return (unsigned)r < WR_BAD_COUNT ? (unsigned)r : WR_BAD_NONE;
}

const char *wr_reason_name(enum wr_reason r)
{
    return rows[row_of(r)].name;
}

const char *wr_reason_text(enum wr_reason r)
{
    return rows[row_of(r)].text;
}

int wr_reason_status(enum wr_reason r)
{
    return rows[row_of(r)].status;
}
