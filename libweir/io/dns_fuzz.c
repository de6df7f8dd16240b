/* SPDX-License-Identifier: BSD-2-Clause */
/* First byte: the type asked. The rest: a message, with the id and question made to fit when it can. */
#include "libweir/io/dns.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct wr_dns_answer *a, uint16_t type)
{
    WR_ASSERT(a->count <= WR_DNS_RECORDS_MAX);
    WR_ASSERT((a->verdict == WR_DNS_OK) == (a->count > 0));
    for (unsigned i = 0; i < a->count; i++) {
        WR_ASSERT(a->records[i].type == type);
        WR_ASSERT(memchr(a->records[i].target, 0, WR_DNS_NAME_MAX));
        WR_ASSERT(a->ttl_s <= a->records[i].ttl_s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t types[] = {WR_DNS_A, WR_DNS_AAAA, WR_DNS_SRV};
    struct wr_dns_answer a;
    if (size < 3)
        return 0;
    uint16_t type = types[data[0] % 3], id = (uint16_t)(data[1] << 8 | data[2]);
    wr_dns_read_answer(wr_span(data + 1, size - 1), id, WR_LIT("a.b"), type, &a);
    check(&a, type);
    uint8_t q[WR_DNS_QUERY_MAX];
    int n = wr_dns_write_query(id, wr_span(data + 1, size - 1), type, data[0] & 64, q);
    WR_ASSERT(n == WR_E_SYNTAX || (n > 12 && n <= WR_DNS_QUERY_MAX));
    return 0;
}
