/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_FINDING_H
#define DOCTOR_FINDING_H

/*
 * Findings: what the rules say about one target, each with its evidence.
 *
 * A rule adds a finding, names its subject and hangs evidence on it. findings_settle then marks what only follows
 * from something else and puts the rest in order: severity, certainty, number of victims, rules.def.
 *
 * 1. All memory is inside struct findings: adding never fails. What is too much is counted in `lost`.
 * 2. Text of the target (names, paths) is kept as it came and may be hostile: only plain_put prints it.
 * 3. After settling `order` lists every kept finding once, causes first, the explained ones behind `leading`.
 *
 * The struct is large (about 100 KiB): it lives on the heap, not on a stack.
 */

#include "libweir/base/span.h"
#include "weir/doctor/rules/rules.h"

#define FINDINGS_MAX  64
#define EVIDENCE_MAX  12
#define EVIDENCE_TEXT 96
#define FINDING_ALONE (-1)

enum evidence_name {
#define X(NAME, key, unit, src, en, zh) EVIDENCE_##NAME,
#include "weir/doctor/rules/evidence.def"
#undef X
    EVIDENCE_COUNT
};
enum evidence_unit {
    UNIT_COUNT,
    UNIT_MOVED,  /* a count of what happened between the looks */
    UNIT_NUMBER, /* a name that is a number: never "a -> b" */
    UNIT_MS,
    UNIT_BYTES,
    UNIT_PERCENT,
    UNIT_HEX,
    UNIT_TEXT
};

struct evidence_row {
    const char *key;
    enum evidence_unit unit;
    const char *src, *label[2]; /* by doctor_lang */
};
const struct evidence_row *evidence_row(enum evidence_name name);

struct evidence {
    enum evidence_name name;
    enum threshold_name over; /* the threshold that it crossed */
    uint64_t threshold;       /* its value then */
    uint64_t a, b;            /* at the two looks */
    uint64_t limit;
    bool has_limit;
    char text[EVIDENCE_TEXT];
};

struct subject {
    int32_t pid, tid; /* 0: none in particular */
    char comm[32];
    char listener[64], peer[64];
};

struct finding {
    enum rule_name rule;
    enum severity severity;
    enum certainty certainty;
    struct subject subject;
    struct evidence evidence[EVIDENCE_MAX];
    unsigned n_evidence;
    uint64_t victims, oldest_ms;
    int cause; /* index of the finding that explains this one, or FINDING_ALONE */
};

struct findings {
    struct finding row[FINDINGS_MAX];
    unsigned n, lost;
    uint8_t order[FINDINGS_MAX];
    unsigned leading; /* of order: findings that nothing else explains */
    struct finding spill;
};

void findings_init(struct findings *f);

/* Never NULL; severity and certainty as in the rule's row. */
struct finding *finding_add(struct findings *f, enum rule_name rule);
void finding_subject(struct finding *f, int32_t pid, int32_t tid, struct wr_span comm);
void finding_listener(struct finding *f, struct wr_span addr);
void finding_peer(struct finding *f, struct wr_span addr);
void finding_weaken(struct finding *f, enum certainty at_most);

/* Each is one line of evidence; beyond EVIDENCE_MAX it is dropped: put the best first. */
void finding_value(struct finding *f, enum evidence_name name, uint64_t a, uint64_t b);
void finding_of(struct finding *f, enum evidence_name name, uint64_t a, uint64_t b,
                uint64_t limit);
void finding_text(struct finding *f, enum evidence_name name, struct wr_span text);
/* The last line of evidence crossed this threshold. */
void finding_over(struct finding *f, const struct thresholds *t, enum threshold_name name);

const struct evidence *finding_evidence(const struct finding *f, enum evidence_name name);

void findings_settle(struct findings *f);
/* Adds what another judgement of the same target found; of one rule and subject the worse stays. Settle afterwards. */
void findings_merge(struct findings *io, const struct findings *more);
/* Takes out what pick wants, into *out. Settle both afterwards. */
void findings_move(struct findings *io, bool (*pick)(const struct finding *f),
                   struct findings *out);
/* Of the leading ones; false where there are none. */
bool findings_worst(const struct findings *f, enum severity *out);

#endif
