/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that somebody else owns are appended by reference. They have to be copied, or be bytes; this
 * must not compile, with -DFIXED it must.
 */
#include "libweir/base/chain.h"

int echo(struct wr_chain *out, struct wr_view line);

int echo(struct wr_chain *out, struct wr_view line)
{
    struct wr_span s = wr_view_span(line);
#ifdef FIXED
    return wr_chain_append_copy(out, s.p, s.n);
#else
    return wr_chain_append(out, &s);
#endif
}
