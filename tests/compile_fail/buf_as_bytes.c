/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A buffer that may still grow and change is handed out as if it were immutable. It has to be frozen
 * first; this must not compile, with -DFIXED it must.
 */
#include "libweir/base/buf.h"
#include "libweir/base/chain.h"

int answer(struct wr_chain *out, struct wr_buf *text);

int answer(struct wr_chain *out, struct wr_buf *text)
{
#ifdef FIXED
    struct wr_bytes done = wr_buf_freeze(text);
    int r = wr_chain_append(out, &done);
    wr_bytes_drop(&done);
    return r;
#else
    return wr_chain_append(out, text);
#endif
}
