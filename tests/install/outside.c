/* SPDX-License-Identifier: BSD-2-Clause */
/* A program outside the tree: it knows the library only as it was installed. */
#include <libweir/libweir.h>

#include <stdio.h>

int main(void)
{
    struct wr_span s = wr_span_trim(WR_LIT("  out of the tree "));
    printf("%.*s: libweir %s, %s\n", WR_SPANF(s), WR_VERSION, wr_err_text(WR_E_NOPORTS));
    return wr_span_eq(s, WR_LIT("out of the tree")) ? 0 : 1;
}
