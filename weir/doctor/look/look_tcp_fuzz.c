/* SPDX-License-Identifier: BSD-2-Clause */
/* An answer of sock_diag: the first byte says whether it tells of inet or of unix sockets, the rest is what netlink gave. */
#include "weir/doctor/look/look.h"

#include "libweir/base/assert.h"
#include "weir/stats/sockdiag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_inet(void *arg, struct wr_span m)
{
    int err = look_inet_row(arg, &(struct look_ask){.proto = FACTS_TCP}, m);
    return m.n < 64 ? 0 : err;
}

static int on_unix(void *arg, struct wr_span m)
{
    int err = look_unix_row(arg, m);
    return m.n < 16 ? 0 : err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct facts_look l;
    bool torn = false;
    if (size < 1)
        return 0;
    facts_look_init(&l, wr_heap_libc());
    (void)!sockdiag_walk(wr_span(data + 1, size - 1), data[0] & 1 ? on_unix : on_inet, &l,
                         &torn);
    WR_ASSERT(facts_seal(&l) == 0);
    for (uint32_t i = 0; i < l.sockets.n; i++) {
        const struct facts_socket *s = facts_socket(&l, l.sockets.v[i].cookie);
        WR_ASSERT(s && (s->tcp == FACTS_NONE || facts_tcp(&l, s)));
    }
    for (uint32_t i = 0; i < l.unixes.n; i++)
        WR_ASSERT(strlen(facts_text(&l, l.unixes.v[i].name)) <= 128);
    facts_look_deinit(&l);
    return 0;
}
