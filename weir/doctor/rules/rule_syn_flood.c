/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syn-flood: the handshakes that are half open fill the queue for them and stay, the kernel answers with cookies or
 * drops, and the accept queue is not what is full: its overflows do not rise. A burst of real clients completes its
 * handshakes within a round trip; so only those count that are there at both looks or were answered again.
 */
#include "weir/doctor/rules/judge_listener.h"

#include <string.h>

static bool is_half_open(const struct facts_socket *listener, const struct facts_socket *s)
{
    static const uint8_t any[16];
    return s->proto == FACTS_TCP && s->local_port == listener->local_port &&
           (s->state == FACTS_SYN_RECV || s->state == FACTS_NEW_SYN_RECV) &&
           (memcmp(listener->local, any, sizeof any) == 0 ||
            (s->family == listener->family && memcmp(s->local, listener->local, 16) == 0));
}

struct tally {
    uint64_t now, stay, sources; /* sources: runs of one address, in the order of cookies */
};

static struct tally count(const struct judge *j, const struct facts_socket *listener)
{
    struct tally t = {0};
    const struct facts_look *b = &j->facts->b;
    const struct facts_socket *last = NULL;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (!is_half_open(listener, s))
            continue;
        t.now++;
        t.stay += s->retrans > 0 || judge_before(j, s) != NULL;
        t.sources += !last || memcmp(last->remote, s->remote, sizeof s->remote) != 0;
        last = s;
    }
    return t;
}

static uint64_t known_rise(const struct judge *j, enum facts_counter c)
{
    uint64_t r = facts_rise(j->facts, c);
    return r == FACTS_UNKNOWN ? 0 : r;
}

static void put_counter(const struct judge *j, struct finding *f, enum evidence_name name,
                        enum facts_counter c)
{
    if (known_rise(j, c) > 0)
        finding_value(f, name, j->facts->a.counter[c], j->facts->b.counter[c]);
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    struct tally t = count(j, s);
    if (t.stay == 0 ||
        judge_percent(t.stay, s->wqueue) < judge_limit(j, THRESHOLD_syn_recv_percent) ||
        s->rqueue > s->wqueue / 2)
        return;
    struct finding *f = finding_add(j->out, RULE_SYN_FLOOD);
    judge_name(j, f, j->map->conn[s - j->facts->b.sockets.v].process);
    judge_put_listener(j, f, s);
    finding_of(f, EVIDENCE_SYN_RECV, t.stay, t.now, s->wqueue);
    finding_over(f, &j->limits, THRESHOLD_syn_recv_percent);
    finding_value(f, EVIDENCE_SOURCES, t.sources, t.sources);
    put_counter(j, f, EVIDENCE_SYN_COOKIES, FACTS_SYNCOOKIES_SENT);
    put_counter(j, f, EVIDENCE_SYN_DROPS, FACTS_REQQ_FULL_DROP);
    f->victims = known_rise(j, FACTS_REQQ_FULL_DROP);
    if (t.sources == 1) /* a path that loses one balancer's acknowledgements looks the same */
        finding_weaken(f, CERTAINTY_LIKELY);
}

void rule_syn_flood(const struct judge *j)
{
    const struct facts_socket *s;
    bool answered = known_rise(j, FACTS_SYNCOOKIES_SENT) > 0 ||
                    known_rise(j, FACTS_REQQ_FULL_COOKIES) > 0 ||
                    known_rise(j, FACTS_REQQ_FULL_DROP) > 0;
    if (!answered || known_rise(j, FACTS_LISTEN_OVERFLOWS) > 0)
        return;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));)
        if (s->wqueue > 0)
            judge_listener(j, s);
}
