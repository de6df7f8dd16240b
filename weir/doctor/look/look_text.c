/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/base/num.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define TICK_MS 10 /* USER_HZ is 100 */

static bool hex(struct wr_span w, uint64_t max, uint64_t *out)
{
    return wr_num_parse_hex(w, out) == 0 && *out <= max;
}

/* "0100007F:1F90": words of 32 bits as the machine has them, so that their bytes lie in the order of the network. */
static bool address(struct wr_span w, size_t words, uint8_t out[16], uint16_t *out_port)
{
    uint64_t v;
    struct wr_span ip;
    if (!wr_span_split(&w, ':', &ip) || ip.n != words * 8 || !hex(w, UINT16_MAX, &v))
        return false;
    *out_port = (uint16_t)v;
    for (size_t i = 0; i < words; i++) {
        if (!hex(wr_span(ip.p + 8 * i, 8), UINT32_MAX, &v))
            return false;
        uint32_t word = (uint32_t)v;
        memcpy(out + 4 * i, &word, 4);
    }
    return true;
}

/* "00000000:00000077": two numbers. */
static bool pair(struct wr_span w, uint64_t *out_first, uint64_t *out_second)
{
    struct wr_span first;
    return wr_span_split(&w, ':', &first) && hex(first, UINT32_MAX, out_first) &&
           hex(w, UINT32_MAX, out_second);
}

/* There is no cookie here: the inode does, and where there is none, who talks to whom. */
static uint64_t identity(const struct facts_socket *s)
{
    uint64_t h = 14695981039346656037ULL;
    if (s->inode)
        return s->inode;
    for (unsigned i = 0; i < 16; i++)
        h = (h ^ s->local[i]) * 1099511628211ULL, h = (h ^ s->remote[i]) * 1099511628211ULL;
    h = (h ^ s->local_port) * 1099511628211ULL;
    return (h ^ s->remote_port) * 1099511628211ULL | 1ULL << 63;
}

int look_inet_line(struct facts_look *l, const struct look_ask *ask, int family,
                   struct wr_span line)
{
    struct wr_span w[10];
    uint64_t state, tx, rx, timer, expires, retrans, uid, inode;
    struct facts_socket s = {.proto = (uint8_t)ask->proto,
                             .family = (uint8_t)family,
                             .rmem = FACTS_NONE,
                             .rcvbuf = FACTS_NONE,
                             .wmem = FACTS_NONE,
                             .sndbuf = FACTS_NONE,
                             .drops = FACTS_NONE,
                             .tcp = FACTS_NONE};
    for (unsigned i = 0; i < WR_ARRAY_LEN(w); i++)
        if (!proc_word(&line, &w[i]))
            return -EPROTO;
    size_t words = family == AF_INET ? 1 : 4;
    if (!address(w[1], words, s.local, &s.local_port) ||
        !address(w[2], words, s.remote, &s.remote_port) || !hex(w[3], 31, &state) ||
        !pair(w[4], &tx, &rx) || !pair(w[5], &timer, &expires) ||
        !hex(w[6], UINT32_MAX, &retrans) || wr_num_parse_between(w[7], 0, UINT32_MAX, &uid) ||
        wr_num_parse_between(w[9], 0, UINT32_MAX, &inode))
        return -EPROTO;
    s.state = (uint8_t)state, s.rqueue = (uint32_t)rx;
    s.wqueue = state == FACTS_LISTEN ? FACTS_NONE : (uint32_t)tx;
    s.timer = (uint8_t)timer, s.timer_ms = (uint32_t)expires * TICK_MS;
    s.retrans = retrans > UINT8_MAX ? UINT8_MAX : (uint8_t)retrans;
    s.uid = (uint32_t)uid, s.inode = (uint32_t)inode;
    s.cookie = identity(&s);
    bool asked = (ask->states & (1U << state)) != 0 && look_is_asked(ask, &s);
    return asked ? FACTS_ADD(&l->sockets, l->heap, &s) : 0;
}

struct reading {
    struct facts_look *look;
    const struct look_ask *ask;
    int family, err;
};

static void on_line(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    int err = r->err ? 0 : look_inet_line(r->look, r->ask, r->family, line);
    if (err == -ENOMEM || err == -E2BIG)
        r->err = err;
}

int look_inet_text(struct facts_look *l, const struct look_ask *ask, uint32_t pid)
{
    static const char *const file[] = {"tcp", "tcp6"};
    char path[40];
    struct reading r = {.look = l, .ask = ask};
    for (unsigned i = 0; !r.err && i < WR_ARRAY_LEN(file); i++) {
        r.family = i == 0 ? AF_INET : AF_INET6;
        (void)snprintf(path, sizeof path, "/proc/%u/net/%s", pid, file[i]);
        int err = look_lines(path, on_line, &r);
        if (err)
            facts_gap(l, path, pid, err);
    }
    return r.err;
}
