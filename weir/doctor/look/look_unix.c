/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "weir/stats/sockdiag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

static void memory_of(struct wr_span given, struct facts_unix *u)
{
    uint32_t m[SK_MEMINFO_VARS] = {0};
    memcpy(m, given.p, given.n < sizeof m ? given.n : sizeof m);
    u->rmem = m[SK_MEMINFO_RMEM_ALLOC];
    u->rcvbuf = m[SK_MEMINFO_RCVBUF];
    u->wmem = m[SK_MEMINFO_WMEM_ALLOC];
    u->sndbuf = m[SK_MEMINFO_SNDBUF];
    u->drops = m[SK_MEMINFO_DROPS];
}

static int name_of(struct facts_look *l, struct wr_span given, struct facts_unix *u)
{
    char name[128];
    size_t n = given.n < sizeof name ? given.n : sizeof name;
    if (n == 0)
        return 0;
    memcpy(name, given.p, n);
    for (size_t i = 0; name[0] == 0 && i < n; i++) /* an abstract one may hold any bytes */
        if (name[i] == 0)
            name[i] = '@';
    return facts_text_add(l, wr_span(name, n), &u->name);
}

static int attributes(struct facts_look *l, struct wr_span rest, struct facts_unix *u)
{
    struct wr_span value;
    struct unix_diag_rqlen q;
    int type, err = 0;
    while (!err && (type = sockdiag_attr(&rest, &value)) >= 0) {
        if (type == UNIX_DIAG_MEMINFO) {
            memory_of(value, u);
        } else if (type == UNIX_DIAG_NAME) {
            err = name_of(l, value, u);
        } else if (type == UNIX_DIAG_PEER && value.n >= sizeof u->peer) {
            memcpy(&u->peer, value.p, sizeof u->peer);
        } else if (type == UNIX_DIAG_SHUTDOWN && value.n > 0) {
            u->shutdown = (uint8_t)value.p[0];
        } else if (type == UNIX_DIAG_RQLEN && value.n >= sizeof q) {
            memcpy(&q, value.p, sizeof q);
            u->rqueue = q.udiag_rqueue;
            u->wqueue = q.udiag_wqueue;
        }
    }
    return err;
}

int look_unix_row(struct facts_look *l, struct wr_span message)
{
    struct unix_diag_msg d;
    if (message.n < sizeof d)
        return -EPROTO;
    memcpy(&d, message.p, sizeof d);
    struct facts_unix u = {
        .cookie = (uint64_t)d.udiag_cookie[1] << 32 | d.udiag_cookie[0],
        .inode = d.udiag_ino,
        .type = d.udiag_type,
        .state = d.udiag_state,
        .rmem = FACTS_NONE,
        .rcvbuf = FACTS_NONE,
        .wmem = FACTS_NONE,
        .sndbuf = FACTS_NONE,
    };
    int err = attributes(l, wr_span_sub(message, sizeof d, message.n), &u);
    return err ? err : FACTS_ADD(&l->unixes, l->heap, &u);
}

static int on_message(void *arg, struct wr_span message)
{
    struct facts_look *l = arg;
    if (l->unixes.n % LOOK_SOME == 0)
        look_pause(l->pace);
    int err = look_unix_row(l, message);
    return err == -EPROTO ? 0 : err;
}

int look_unix(struct facts_look *l)
{
    struct {
        struct nlmsghdr head;
        struct unix_diag_req ask;
    } q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP                                   },
        .ask = {.sdiag_family = AF_UNIX,
                 .udiag_states = LOOK_ALL_STATES,
                 .udiag_show =
                    UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_MEMINFO},
    };
    int r = sockdiag_ask(&q, sizeof q, on_message, l);
    if (r == -ENOMEM || r == -E2BIG)
        return r;
    if (r != 0)
        facts_gap(l, "sock_diag unix", 0, r < 0 ? r : -EAGAIN);
    return 0;
}
