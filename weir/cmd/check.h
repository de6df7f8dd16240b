/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

/*
 * `weir check`: configurations that are correct and yet not what was meant.
 *
 * A rule looks at the tree of directives, and says each finding with the node it is about, what is so, and what to
 * write instead. Rules are rows of check_rules (check_rules.c, and check_site.c for addresses); they know nothing of
 * each other.
 *
 * 1. A rule speaks of what is written, never of taste; a finding names its fix.
 * 2. WARN: something does not do what it seems to do. NOTE: worth knowing. Only WARN changes the exit status.
 */

#include "weir/conf/conf.h"

struct check;

enum check_level {
    CHECK_WARN,
    CHECK_NOTE
};

struct check_rule {
    const char *name;
    enum check_level level;
    const char *doc; /* one sentence */
    /* Called for every directive, outer ones first; ancestors by node->parent. */
    void (*look)(struct check *c, const struct conf_node *node);
    /* Called once, with the file's first directive. */
    void (*all)(struct check *c, const struct conf_node *nodes);
};

struct check {
    const struct conf_load *load;
    struct wr_arena *arena;
    const struct conf_node *nodes;
    const struct check_rule *rule; /* the one at work */
    unsigned found[2];             /* by level */
    unsigned somaxconn;
};

extern const struct check_rule check_rules[]; /* a row without a name ends them */

/* Prints FILE:LINE:COLUMN: text, and the fix below. word: which one is meant. */
WR_PRINTF(5, 6)
void check_say(struct check *c, const struct conf_node *node, uint32_t word, const char *fix,
               const char *fmt, ...);

/* ---- looking at trees --------------------------------------------------------------------------------------- */

static inline bool check_is(const struct conf_node *node, const char *name)
{
    return node->nwords && wr_span_eq(conf_arg(node, 0), wr_span_str(name));
}
/* The argument i, or an empty one. */
static inline struct wr_span check_arg(const struct conf_node *node, uint32_t i)
{
    return i < node->nwords ? conf_arg(node, i) : WR_LIT("");
}
/* The first of that name among siblings, from `node` on. */
const struct conf_node *check_next(const struct conf_node *node, const char *name);
/* What is in force in a block: its own, or the nearest outer one's. */
const struct conf_node *check_effective(const struct check *c, const struct conf_node *block,
                                        const char *name);
/* The nearest block around a node that has this name; NULL. */
const struct conf_node *check_around(const struct conf_node *node, const char *name);
/* The directives outside and inside of a block: the file's for NULL. */
const struct conf_node *check_inside(const struct check *c, const struct conf_node *block);

#endif
