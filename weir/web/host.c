/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/host.h"

#include "libweir/os/os.h"

#define HOST_MAX  255
#define FOUND_MAX 32

static bool known(const struct wr_addr *list, uint32_t n, const struct wr_addr *a)
{
    for (uint32_t i = 0; i < n; i++)
        if (wr_addr_eq(&list[i], a))
            return true;
    return false;
}

uint32_t web_host_addrs(struct wr_span host, struct wr_addr *out, uint32_t max)
{
    struct sockaddr_storage found[FOUND_MAX];
    char name[HOST_MAX + 1] = "";
    uint32_t n = 0;
    if (host.n == 0 || host.n > HOST_MAX)
        return 0;
    memcpy(name, host.p, host.n);
    int got = wr_os_resolve(name, found, FOUND_MAX);
    for (int family = 0; family < 2; family++)
        for (int i = 0; i < got && n < max; i++) {
            struct wr_addr a;
            if (found[i].ss_family == (family ? AF_INET6 : AF_INET) &&
                wr_addr_from_sockaddr((struct sockaddr *)&found[i], sizeof found[i], &a) == 0 &&
                !known(out, n, &a))
                out[n++] = a;
        }
    if (n == 0 && max && wr_span_ieq(host, WR_LIT("localhost")))
        out[n++] = wr_addr_v4((const uint8_t[4]){127, 0, 0, 1}, 0);
    return n;
}
