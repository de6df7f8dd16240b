/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_REPORT_H
#define DOCTOR_REPORT_H

/*
 * The report: settled findings of one target, for a person or for a program.
 *
 *   looks --rules--> findings --settle--> doctor_tell (text, English or Chinese, as wide as asked)
 *                                     \-> doctor_json (one object, one line; stable ids and keys)
 *
 * 1. Only formats: no clock, no descriptor, no terminal is asked. Width and colour are arguments.
 * 2. Nothing of the target reaches the output unescaped.
 * 3. What could not be read is always said.
 */

#include "weir/doctor/catalogue.h"

struct stats_text;

/* Something that a look was refused. */
struct unreadable {
    char what[96]; /* "/proc/3301/fd" */
    char why[48];  /* "permission denied" */
};

struct doctor_case {
    const char *name; /* of the target, as its process calls itself: hostile */
    int32_t pid;      /* 0: not one process */
    unsigned processes, threads;
    const char *listener; /* "" where it has none */
    uint64_t wall_ns;     /* time of the first look */
    uint32_t span_ms;     /* between the first look and the last */
    unsigned looks;
    uint32_t uid; /* of who looked */
    const struct findings *findings;
    const struct unreadable *unreadable;
    unsigned n_unreadable;
};

struct doctor_style {
    enum doctor_lang lang;
    unsigned width; /* columns; 40 is the least that is obeyed */
    bool colour,
        verbose; /* verbose: also what only follows, where values were read, thresholds */
};

void doctor_tell(struct stats_text *out, const struct doctor_case *c,
                 const struct doctor_style *s);
void doctor_json(struct stats_text *out, const struct doctor_case *c, enum doctor_lang lang);

#endif
