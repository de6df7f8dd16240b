/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: tcp-memory-pressure, conntrack-full, rx-drop, reset-storm. */
#include "weir/doctor/rules/judge_test.h"

static void fresh(void)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        for (unsigned i = 0; i < FACTS_COUNTERS; i++)
            tap_look(w)->counter[i] = 0;
        tap_process(w, (struct facts_process){0});
    }
}

static void counted(enum facts_counter c, uint64_t a, uint64_t b)
{
    facts.a.counter[c] = a;
    facts.b.counter[c] = b;
}

static void set(enum facts_sysctl s, unsigned i, uint64_t v)
{
    facts.a.sysctl[s][i] = facts.b.sysctl[s][i] = v;
}

static void memory(uint64_t pages, uint64_t mark, uint64_t pressures)
{
    fresh();
    counted(FACTS_TCP_MEM_PAGES, pages, pages);
    counted(FACTS_MEMORY_PRESSURES, 4, 4 + pressures);
    set(FACTS_SYS_TCP_MEM, 1, mark);
    tap_socket(1,
               (struct facts_socket){.cookie = 1,
                                     .inode = 5,
                                     .local_port = 40000,
                                     .remote_port = 80,
                                     .rmem = 300 * 1024,
                                     .wmem = 100 * 1024},
               NULL);
    tap_judge();
}

static void test_memory(void)
{
    memory(5000, 4096, 0);
    is_int(tap_leader(), RULE_TCP_MEMORY, "over the mark at both looks");
    const struct finding *f = tap_found(RULE_TCP_MEMORY);
    is_int(f->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_TCP_MEMORY, EVIDENCE_TCP_PAGES), 5000, "how much");
    const struct evidence *e = finding_evidence(f, EVIDENCE_HOLDER);
    is_str(e ? e->text : "", "patient (pid 7): 400 KiB", "who has it");
    memory(3000, 4096, 1);
    is_int(tap_leader(), RULE_TCP_MEMORY, "or the kernel says so");
    memory(3000, 4096, 0);
    is_int(tap_leader(), RULE_COUNT, "below the mark");
    memory(5000, FACTS_UNKNOWN, 0);
    is_int(tap_leader(), RULE_COUNT, "an unknown mark proves nothing");
    memory(FACTS_UNKNOWN, 4096, 0);
    is_int(tap_leader(), RULE_COUNT, "nor does an unknown amount");
}

static void add_group(uint64_t was, uint64_t now, uint64_t peak, uint64_t room, uint64_t lost)
{
    for (int w = 0; w < 2; w++) {
        struct facts_cgroup g = {.pid = TAP_PID,
                                 .tcp = (w ? now : was) << 20,
                                 .tcp_max = room << 20,
                                 .tcp_peak = peak << 20};
        tap_look(w)->page = 4096;
        TAP_ADD(w, cgroups, &g);
    }
    counted(FACTS_RCVQ_DROP, 0, lost);
}

static void group(uint64_t was, uint64_t now, uint64_t peak, uint64_t room, uint64_t lost)
{
    fresh();
    add_group(was, now, peak, room, lost);
    tap_judge();
}

/* Read just after a late reader has taken all: what the sockets held a moment before tells. */
static void quiet_moment(uint32_t held_before)
{
    fresh();
    tap_socket(1,
               (struct facts_socket){
                   .cookie = 1, .inode = 5, .local_port = 80, .rmem = held_before << 20},
               NULL);
    add_group(0, 0, 2, 1, 51);
    tap_judge();
}

static void test_group(void)
{
    group(2, 2, 2, 1, 51);
    is_int(tap_leader(), RULE_TCP_MEMORY, "a group at its own limit");
    is_int(tap_value(RULE_TCP_MEMORY, EVIDENCE_TCP_PAGES), 512, "its pages, not the machine's");
    is_int(tap_value(RULE_TCP_MEMORY, EVIDENCE_PRUNED), 51, "what was thrown away");
    is_int(tap_found(RULE_TCP_MEMORY)->certainty, CERTAINTY_LIKELY, "likely");
    group(2, 2, 2, 1, 9);
    is_int(tap_leader(), RULE_COUNT, "hardly anything was thrown away");
    group(0, 2, 2, 1, 51);
    is_int(tap_leader(), RULE_TCP_MEMORY, "what it holds moves");
    group(0, 0, 2, 1, 51);
    is_int(tap_leader(), RULE_COUNT, "full long ago");
    group(9, 13, 17, 16, 51);
    is_int(tap_leader(), RULE_TCP_MEMORY, "the kernel keeps it below");
    group(9, 13, 15, 16, 51);
    is_int(tap_leader(), RULE_COUNT, "it never was there");
    quiet_moment(2);
    is_int(tap_leader(), RULE_TCP_MEMORY, "empty at the very moment");
    is_int(tap_value(RULE_TCP_MEMORY, EVIDENCE_TCP_PAGES), 512, "what its sockets held");
    quiet_moment(0);
    is_int(tap_leader(), RULE_COUNT, "empty altogether");
}

static void tracked(uint64_t have, uint64_t room, uint64_t drops)
{
    fresh();
    set(FACTS_SYS_CONNTRACK_COUNT, 0, have);
    set(FACTS_SYS_CONNTRACK_MAX, 0, room);
    counted(FACTS_CONNTRACK_DROP, 0, drops);
    tap_judge();
}

static void test_conntrack(void)
{
    tracked(65536, 65536, 12);
    is_int(tap_leader(), RULE_CONNTRACK, "full and dropping");
    is_int(tap_found(RULE_CONNTRACK)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_found(RULE_CONNTRACK)->severity, SEVERITY_CRIT, "critical");
    is_int(tap_value(RULE_CONNTRACK, EVIDENCE_DROPS), 12, "twelve dropped");
    tracked(60000, 65536, 0);
    is_int(tap_found(RULE_CONNTRACK)->certainty, CERTAINTY_LIKELY, "nearly full: likely");
    is_int(tap_found(RULE_CONNTRACK)->severity, SEVERITY_WARN, "a warning");
    tracked(1000, 65536, 12);
    is_int(tap_leader(), RULE_COUNT, "drops of an empty table have another reason");
    tracked(FACTS_UNKNOWN, FACTS_UNKNOWN, FACTS_UNKNOWN);
    is_int(tap_leader(), RULE_COUNT, "invisible: nothing is said");
}

static void dropped(enum facts_counter c, uint64_t n, uint64_t segments)
{
    fresh();
    counted(c, 7, 7 + n);
    counted(FACTS_IN_SEGS, 0, segments);
    counted(FACTS_SOFTNET_PACKETS, 0, segments);
    tap_judge();
}

static void test_drops(void)
{
    dropped(FACTS_SOFTNET_DROPPED, 50, 10000);
    is_int(tap_found(RULE_RX_DROP)->severity, SEVERITY_INFO, "fifty of ten thousand: a note");
    dropped(FACTS_SOFTNET_DROPPED, 50, 2000);
    is_int(tap_leader(), RULE_RX_DROP, "fifty of two thousand");
    is_int(tap_found(RULE_RX_DROP)->severity, SEVERITY_WARN, "a warning");
    is_int(tap_found(RULE_RX_DROP)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_RX_DROP, EVIDENCE_SOFTNET_DROPS), 50, "and where");
    dropped(FACTS_BACKLOG_DROP, 50, 10000);
    is_int(tap_value(RULE_RX_DROP, EVIDENCE_BACKLOG_DROPS), 50, "at sockets");
    dropped(FACTS_SOFTNET_DROPPED, 50, 1000000);
    is_int(tap_leader(), RULE_COUNT, "fifty of a million are nothing");
    dropped(FACTS_SOFTNET_DROPPED, 3, 100);
    is_int(tap_leader(), RULE_COUNT, "three neither");
    dropped(FACTS_UDP_NO_PORTS, 5000, 100);
    is_int(tap_leader(), RULE_COUNT, "datagrams to nobody are not dropped here");
}

static void test_resets(void)
{
    fresh();
    counted(FACTS_ESTAB_RESETS, 10, 90);
    counted(FACTS_OUT_RSTS, 0, 85);
    tap_judge();
    is_int(tap_leader(), RULE_RESET_STORM, "eighty reset");
    is_int(tap_found(RULE_RESET_STORM)->certainty, CERTAINTY_HINT, "a hint");
    is_int(tap_found(RULE_RESET_STORM)->severity, SEVERITY_INFO, "a note");
    is_int(tap_value(RULE_RESET_STORM, EVIDENCE_RESETS_SENT), 85, "most by us");
    fresh();
    counted(FACTS_OUT_RSTS, 0, 500);
    tap_judge();
    is_int(tap_leader(), RULE_COUNT, "answers to a port scan are no connections");
    fresh();
    counted(FACTS_ESTAB_RESETS, FACTS_UNKNOWN, 500);
    tap_judge();
    is_int(tap_leader(), RULE_COUNT, "unknown before: nothing is known to have risen");
}

int main(void)
{
    test_memory();
    test_group();
    test_conntrack();
    test_drops();
    test_resets();
    return tap_done();
}
