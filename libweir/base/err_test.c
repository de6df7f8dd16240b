/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"

#include "tests/tap.h"

#include <errno.h>
#include <limits.h>

int main(void)
{
    static const int strange[] = {INT_MIN, INT_MIN + 1, -1999, -4096, 1, INT_MAX};
    is_str(wr_err_name(WR_E_BUDGET), "WR_E_BUDGET", "one of ours by name");
    is_str(wr_err_name(-EAGAIN), "EAGAIN", "one of the system's");
    is_str(wr_err_name(0), "OK", "none");
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        is_str(wr_err_name(strange[i]), "E?", "%d has no name", strange[i]);
        is_str(wr_err_text(strange[i]), "unknown error", "and no text");
        is_str(wr_err_stage(strange[i]), "", "nor a stage");
        is_str(wr_err_fix(strange[i]), "", "nor a remedy");
    }
    return tap_done();
}
