/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_COMMAND_H
#define DOCTOR_COMMAND_H

/*
 * `weir doctor`: from words to targets, from targets to looks, from looks to a report and an exit status.
 *
 *   options --scout--> groups --examine--> facts --judge--> findings --report--> text or JSON
 *                                 |  ^
 *                        --record v  | --from
 *
 * 1. Nothing of the machine is changed; with --while one command is started, and nothing else.
 * 2. The report goes to standard output, what went wrong with the call to standard error.
 * 3. The exit status is API: enum doctor_exit.
 */

#include "weir/doctor/report/catalogue.h"

enum doctor_exit {
    DOCTOR_WELL = 0, /* no finding from the asked severity on */
    DOCTOR_WARNING = 1,
    DOCTOR_CRITICAL = 2,
    DOCTOR_NO_TARGET = 3,
    DOCTOR_UNDECIDED = 4, /* nothing found, but too much could not be seen: rights, memory */
    DOCTOR_USAGE = 64,
};

/* argv[0] is the command's own name. */
int doctor_command(int argc, char **argv);

/* ---- command_options.c ---------------------------------------------------------------------------- */
#define DOCTOR_TARGETS       64
#define DOCTOR_WATCH_MS      10000
#define DOCTOR_WAIT_LEAST_MS 50
#define DOCTOR_WAIT_MOST_MS  600000

struct doctor_options {
    const char *target[DOCTOR_TARGETS];
    unsigned n_targets;
    bool help, rules, json, quiet, verbose, watch, upstream;
    const char *explain, *record, *from; /* NULL: not asked */
    char **command;                      /* behind --while --; ends with NULL */
    uint32_t wait_ms;                    /* 0: not asked */
    uint32_t watch_ms;
    enum severity fail_on;
    enum doctor_lang lang;
    struct thresholds limits;
};

/* 0, or -EINVAL: then error says what is wrong and what would be right. locale: LC_ALL, LC_MESSAGES or LANG. */
WR_MUST int doctor_options(int argc, char **argv, const char *locale,
                           struct doctor_options *out, char *error, size_t n);

/* ---- command_show.c ---------------------------------------------------------------------------------- */
struct doctor_style;
struct stats_text;

void doctor_show_rules(struct stats_text *out, const struct doctor_options *o,
                       const struct doctor_style *s);
void doctor_show_rule(struct stats_text *out, enum rule_name rule,
                      const struct doctor_options *o, const struct doctor_style *s);

#endif
