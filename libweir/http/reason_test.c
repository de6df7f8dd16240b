/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/reason.h"
#include "libweir/http/status.h"
#include "tests/tap.h"

int main(void)
{
    for (int r = 1; r < WR_BAD_COUNT; r++) {
        int status = wr_reason_status((enum wr_reason)r);
        ok(status >= 400 && status < 600 && wr_status_line(status).n > 0, "%s answers %d",
           wr_reason_name((enum wr_reason)r), status);
    }
    is_str(wr_reason_name(WR_BAD_HOST_BAD), "HOST_BAD", "name");
    is_str(wr_reason_text(WR_BAD_BARE_CR), "CR without LF", "text");
    is_str(wr_reason_name((enum wr_reason)9999), "NONE", "out of range");
    return tap_done();
}
