/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_REWRITE_H
#define CONTENT_REWRITE_H

/*
 * The rewrite module in two rooms: rewrite.c reads directives and makes steps of them, rewrite_run.c runs the steps
 * of a block for a request.
 *
 *     rewrite, if, set, return, break --rewrite.c--> struct steps --rewrite_run--> a status for the phase engine
 *
 * 1. Steps do not change once the configuration is loaded; running them writes to the request alone.
 * 2. They are in the order of the file, whatever their kinds; the steps of an `if` are a list within the list.
 *
 * Steps lie in the generation's arena. The two files only.
 */

#include "weir/web/vars.h"

enum step_kind {
    STEP_SET,
    STEP_REWRITE,
    STEP_IF,
    STEP_RETURN,
    STEP_BREAK,
};

enum condition_kind {
    IF_TRUE, /* neither empty nor "0" */
    IF_EQUAL,
    IF_MATCH,
    IF_FILE, /* -f */
    IF_DIR,  /* -d */
    IF_ANY,  /* -e */
    IF_EXEC, /* -x */
};

struct condition {
    uint8_t kind; /* enum condition_kind */
    bool negated;
    uint32_t index;         /* TRUE, EQUAL, MATCH: the variable */
    struct web_value value; /* EQUAL: with this; of files: the path */
    struct web_regex *regex;
    struct wr_span pattern;
};

struct step;
struct steps {
    struct step *first, *last;
};

struct step {
    struct step *next;
    uint8_t kind; /* enum step_kind */
    /* SET */
    uint32_t index;
    const struct web_var *var; /* with a setter of its own; NULL */
    struct web_value value;    /* also RETURN's text or address */
    /* REWRITE */
    struct web_regex *regex;
    struct wr_span pattern;
    struct web_value target; /* the replacement up to its first '?'; of a redirect all of it */
    struct web_value query;  /* and behind it */
    bool redirect, has_query, drop_args, last, cycle_ends;
    int status; /* also RETURN's */
    bool has_text;
    /* IF */
    struct condition condition;
    const struct web_location *location; /* NULL in a server */
    const struct steps *block;
};

/* Runs the list; what the phase function returns. log: rewrite_log. */
int rewrite_run(struct web_req *r, const struct steps *steps, bool log);

#endif
