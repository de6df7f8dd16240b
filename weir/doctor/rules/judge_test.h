/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_TEST_H
#define DOCTOR_JUDGE_TEST_H

/*
 * Invented facts for the tests of rules: an examination is built row by row, judged, and asked what leads.
 *
 * tap_fresh begins; tap_* add rows to look 0 (a) or 1 (b), tap_both to both; tap_judge seals, judges and throws the
 * facts away. The looks are two seconds apart. For tests only: what cannot be had aborts.
 */

#include "tests/tap.h"
#include "weir/doctor/rules/judge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TAP_PID 7U

static struct facts facts;
static struct findings found;
static const struct judge_target everything;

static inline struct facts_look *tap_look(int which)
{
    return which ? &facts.b : &facts.a;
}

static inline void tap_fresh(void)
{
    facts_init(&facts, wr_heap_libc());
    facts.a.at_ns = 1000000000;
    facts.b.at_ns = 3000000000;
    facts.a.ticks = facts.b.ticks = 100;
    facts.a.page = facts.b.page = 4096;
    for (int w = 0; w < 2; w++) {
        struct facts_look *l = tap_look(w);
        l->sysctl[FACTS_SYS_PORT_RANGE][0] = 32768;
        l->sysctl[FACTS_SYS_PORT_RANGE][1] = 60999;
        l->sysctl[FACTS_SYS_TCP_RMEM][1] = 131072;
    }
}

#define TAP_ADD(which, list, row)                                     \
    do {                                                              \
        if (FACTS_ADD(&tap_look(which)->list, wr_heap_libc(), (row))) \
            abort();                                                  \
    } while (0)

static inline void tap_process(int which, struct facts_process p)
{
    p.pid = p.pid ? p.pid : TAP_PID;
    p.start = p.start ? p.start : 1;
    p.state = p.state ? p.state : 'S';
    if (!p.nofile_soft)
        p.nofile_soft = 1024;
    if (!p.comm[0])
        memcpy(p.comm, "patient", 8);
    TAP_ADD(which, processes, &p);
}

static inline void tap_ip(uint8_t ip[16], unsigned a, unsigned b, unsigned c, unsigned d)
{
    const uint8_t v[4] = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d};
    memset(ip, 0, 16);
    memcpy(ip, v, 4);
}

/* From 10.0.0.1 to 10.0.0.2 unless told otherwise; with an inode it is a descriptor of TAP_PID. */
static inline void tap_socket(int which, struct facts_socket s, const struct facts_tcp *t)
{
    static const uint8_t none[16];
    s.proto = s.proto ? s.proto : FACTS_TCP;
    s.family = s.family ? s.family : AF_INET;
    s.state = s.state ? s.state : FACTS_ESTABLISHED;
    if (memcmp(s.local, none, 16) == 0 && s.state != FACTS_LISTEN)
        tap_ip(s.local, 10, 0, 0, 1);
    if (memcmp(s.remote, none, 16) == 0 && s.state != FACTS_LISTEN)
        tap_ip(s.remote, 10, 0, 0, 2);
    s.tcp = FACTS_NONE;
    if (t) {
        s.tcp = tap_look(which)->tcps.n;
        TAP_ADD(which, tcps, t);
    }
    TAP_ADD(which, sockets, &s);
    if (s.inode) {
        struct facts_fd fd = {
            .pid = TAP_PID, .fd = (int)s.inode, .inode = s.inode, .kind = FACTS_FD_SOCKET};
        TAP_ADD(which, fds, &fd);
    }
}

/* A socket that listens on this port, at both looks. */
static inline void tap_listener(uint16_t port)
{
    for (int w = 0; w < 2; w++)
        tap_socket(w,
                   (struct facts_socket){.cookie = port,
                                         .inode = 100000 + port,
                                         .state = FACTS_LISTEN,
                                         .wqueue = 511,
                                         .local_port = port},
                   NULL);
}

static inline void tap_judge_for(const struct judge_target *t)
{
    if (facts_seal(&facts.a) || facts_seal(&facts.b))
        abort();
    for (uint32_t i = 0; i < facts.glances; i++)
        facts_glance_seal(&facts.glance[i]);
    if (judge_all(&facts, t, &found))
        abort();
    facts_deinit(&facts);
}

static inline void tap_judge(void)
{
    tap_judge_for(&everything);
}

/* What leads, or RULE_COUNT. */
static inline enum rule_name tap_leader(void)
{
    return found.leading ? found.row[found.order[0]].rule : RULE_COUNT;
}

/* The first finding of a rule, leading or not; one of no rule, severity and certainty where there is none. */
static inline const struct finding *tap_found(enum rule_name rule)
{
    static const struct finding none = {
        .rule = RULE_COUNT, .severity = SEVERITY_CRIT + 1, .certainty = CERTAINTY_PROOF + 1};
    for (unsigned i = 0; i < found.n; i++) {
        if (found.row[i].rule == rule)
            return &found.row[i];
    }
    return &none;
}

static inline bool tap_has(enum rule_name rule)
{
    return tap_found(rule)->rule == rule;
}

/* The value of a line of evidence at the second look; UINT64_MAX without one. */
static inline uint64_t tap_value(enum rule_name rule, enum evidence_name name)
{
    const struct evidence *e = finding_evidence(tap_found(rule), name);
    return e ? e->b : UINT64_MAX;
}

#endif
