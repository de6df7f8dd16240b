/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TREAT_PRIVATE_H
#define DOCTOR_TREAT_PRIVATE_H

/*
 * Inside weir treat: the case under treatment, its hands, and what a kind of treatment is.
 *
 * A hand is one thing of the process that a treatment touches: a descriptor, a socket, or the process itself. It
 * is taken (pidfd_getfd) each time it is read or changed, and given back at once, so that ten thousand
 * connections need no ten thousand descriptors here.
 *
 * 1. hand_take gives only what gather saw: the cookie of a socket, the inode of anything else, is compared.
 * 2. read changes nothing. apply changes one hand, or fails and has changed nothing.
 * 3. What has to happen with foreign descriptor numbers or in a foreign network namespace happens in a child.
 */

#include "weir/doctor/report/words.h"
#include "weir/doctor/rules/judge.h"
#include "weir/doctor/treat/treat.h"

#define TREAT_PIDS  64
#define TREAT_WIDTH 80 /* columns of what is printed */

struct hand {
    uint32_t pid;
    int32_t fd;      /* in that process; -1: not a descriptor */
    uint64_t cookie; /* of a socket */
    uint64_t inode;  /* of anything that has one */
    struct facts_socket socket;
    int32_t epoll; /* the set in which fd is watched */
    uint32_t events;
    uint64_t data;
    bool stopped; /* a process that is to be continued, not a descriptor */
    char name[80];
    uint64_t before[2], after[2]; /* FACTS_UNKNOWN: could not be read */
    int error;
};

struct treat;
struct treat_kind {
    const char *name;
    const char *label[2][LANG_COUNT]; /* of the values, "" where there is none */
    enum evidence_unit unit[2];
    /* Adds hands for the finding (NULL when undoing). 0 or -errno. */
    int (*gather)(struct treat *t, const struct finding *f);
    int (*read)(struct treat *t, const struct hand *h, uint64_t out[2]);
    int (*apply)(struct treat *t, const struct hand *h);
    /* Is this hand already as it should be? NULL: never. */
    bool (*well)(const struct treat *t, const struct hand *h);
};

struct treatment {
    enum rule_name rule;
    const char *way;
    const struct treat_kind *kind;
    uint64_t to;
    const char *undo;
    const char *does[LANG_COUNT], *costs[LANG_COUNT];
};

struct treat {
    const struct treat_options *o;
    const struct treatment *treatment;
    const struct wr_heap *heap;
    uint64_t to;
    uint32_t
        pids[TREAT_PIDS]; /* held; the first is the one under treatment once that is known */
    int pidfds[TREAT_PIDS];
    uint32_t n_pids;
    uint32_t pid;
    struct facts facts;
    struct findings *found;
    struct finding finding; /* a copy: the looks are repeated */
    FACTS_LIST(struct hand) hands;
};

const struct treatment *treatment_find(enum rule_name rule, const char *way);
/* The i-th row; NULL behind the last. */
const struct treatment *treatment_at(unsigned i);

/* ---- hands: treat_hand.c --------------------------------------------------------------------------- */
/* Does --fd allow it? */
bool hand_listed(const struct treat *t, int32_t fd);
WR_MUST int hand_add(struct treat *t, const struct hand *h);
/* A hand for a socket that pid holds. */
WR_MUST int hand_add_socket(struct treat *t, const struct facts_socket *s, uint32_t pid);
/* Our copy of the descriptor: to be closed. -ESTALE: it is another one by now. */
WR_MUST int hand_take(struct treat *t, const struct hand *h);
/* A descriptor of the process; inode: 0 if it need not be checked. */
WR_MUST int hand_take_fd(struct treat *t, uint32_t pid, int32_t fd, uint64_t inode);
/* Runs fn in a child and hands back its result, 0 or -errno. */
WR_MUST int hand_in_child(int (*fn)(void *arg), void *arg);
/* Every socket of the process for which want says so. */
WR_MUST int hand_gather_sockets(struct treat *t, const struct finding *f,
                                bool (*want)(const struct treat *t, const struct finding *f,
                                             const struct facts_socket *s));
/* 'S', 'T' ... of /proc/PID/stat. */
WR_MUST int treat_state(uint32_t pid, char *out);
WR_MUST int hand_option(struct treat *t, const struct hand *h, int level, int option,
                        uint64_t *out);

/* ---- telling: treat_print.c ------------------------------------------------------------------------- */
struct stats_text;
void treat_print_plan(const struct treat *t);
void treat_print_result(const struct treat *t, bool helped, const struct findings *now);
void treat_print_json(const struct treat *t, enum treat_exit r, const char *why,
                      const struct findings *now);
void treat_log(const struct treat *t, bool helped);
/* What is wrong and what would be right, on stderr, or in the JSON object. */
WR_PRINTF(3, 4)
int treat_refuse(const struct treat *t, enum treat_exit r, const char *fmt, ...);
/* Asks at the terminal; false when the answer is not yes. */
bool treat_ask(const struct treat *t);

#define X(RULE, way, KIND, to, undo, does, does_zh, costs, costs_zh) \
    extern const struct treat_kind treat_kind_##KIND;
#include "weir/doctor/rules/treatments.def"
#undef X

#endif
