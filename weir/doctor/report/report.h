/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_REPORT_H
#define DOCTOR_REPORT_H

/*
 * The report: settled findings of one or more targets, for a person or for a program.
 *
 *   looks --rules--> findings --settle--> report_tell (text, English or Chinese, as wide as asked)
 *                                     \-> report_json (one object, one line; stable ids and keys)
 *
 * 1. Only formats: no clock, no descriptor, no terminal is asked. Width and colour are arguments.
 * 2. Nothing of the target reaches the output unescaped.
 * 3. What could not be read is always said.
 */

#include "weir/doctor/look/facts.h"
#include "weir/doctor/report/catalogue.h"

struct stats_text;

/* Something that a look was refused. */
struct unreadable {
    char what[96]; /* "/proc/3301/fd" */
    char why[48];  /* "permission denied" */
    bool minor;    /* this kernel has no such thing: told with -v only */
};

struct doctor_case {
    const char *name;   /* of the target, as its process calls itself: hostile */
    const char *behind; /* of the case that led here with --upstream; NULL: it was asked for */
    int32_t pid;        /* 0: not one process */
    unsigned processes, threads, connections;
    bool machine;         /* what concerns no process: the whole machine's findings */
    const char *listener; /* "" where it has none */
    uint64_t wall_ns;     /* time of the first look */
    uint32_t span_ms;     /* between the first look and the last */
    unsigned looks;
    uint32_t uid; /* of who looked */
    const struct findings *findings;
    const struct unreadable *unreadable;
    unsigned n_unreadable;
    const uint32_t *pids; /* its processes, for weir's own books; may be NULL */
    unsigned n_pids;
    const struct facts_look *books; /* where they stand: facts_look.weirs; NULL: none */
};

/* What happened to the sockets while the command of --while ran. */
struct doctor_load {
    const char *command;
    const char *ended; /* "exit 0", "signal 9 (SIGKILL)" */
    int status;        /* as waitpid's; -1: it was not started */
    uint64_t ran_ms;
    unsigned looks;
    uint64_t rise[FACTS_COUNTERS]; /* FACTS_UNKNOWN */
    unsigned worst_queue,
        worst_backlog;    /* accept queue of the targets' listeners at its longest */
    unsigned connections; /* most at one look */
};

struct doctor_report {
    const struct doctor_case *cases;
    unsigned n_cases;
    const char *
        host; /* the name of the machine: nobody was named, everybody who listens is a case; or NULL */
    unsigned sockets;
    uint64_t wall_ns;
    uint32_t span_ms;
    uint32_t slow_ms; /* the look that took longest, where that is worth a word; else 0 */
    unsigned looks;
    uint32_t uid;
    const struct doctor_load *load; /* NULL: no --while */
    int exit;
};

struct doctor_style {
    enum doctor_lang lang;
    unsigned width; /* columns; 40 is the least that is obeyed */
    bool colour,
        verbose; /* verbose: also what only follows, where values were read, thresholds */
    bool brief;  /* the first lines of evidence, and what to do */
};

void report_tell(struct stats_text *out, const struct doctor_report *r,
                 const struct doctor_style *s);
void report_json(struct stats_text *out, const struct doctor_report *r, enum doctor_lang lang);
/* One line for each finding from a severity on; nothing where there is none. */
void report_brief(struct stats_text *out, const struct doctor_report *r,
                  const struct doctor_style *s, enum severity least);
/* One finding of a case, as it stands in report_tell. */
void report_finding(struct stats_text *out, const struct doctor_case *c,
                    const struct doctor_style *s, unsigned which);

/* report_weir.c: what a weir server says of itself. */
void report_weir(struct stats_text *out, const struct doctor_case *c,
                 const struct doctor_style *s);
void report_weir_json(struct stats_text *out, const struct doctor_case *c, const char *comma);
/* The pools of the case's processes; true if there was one. */
bool report_pools_json(struct stats_text *out, const struct doctor_case *c, const char *comma);
/* report_load.c */
void report_load(struct stats_text *out, const struct doctor_load *l,
                 const struct doctor_style *s);
void report_load_json(struct stats_text *out, const struct doctor_load *l);

#endif
