/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_REASON_H
#define WR_HTTP_REASON_H

/*
 * Why a message was refused: a code with its text and the status to answer, from reason.def.
 * A refused message always ends its connection: what follows it cannot be trusted.
 */

#include "libweir/base/compiler.h"

enum wr_reason {
#define X(name, status, text) WR_BAD_##name,
#include "libweir/http/reason.def"
#undef X
    WR_BAD_COUNT
};

/* Where and why; at counts bytes from the first byte of the head or body that was given. */
struct wr_refusal {
    enum wr_reason reason;
    uint64_t at;
};

const char *wr_reason_name(enum wr_reason r); /* "CHUNK_SIZE_BAD" */
const char *wr_reason_text(enum wr_reason r);
int wr_reason_status(enum wr_reason r); /* for a refused request; a refused response is a 502 */

#endif
