/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_H
#define DOCTOR_TOP_H

/*
 * `weir top`: the doctor's looks as a screen that goes on.
 *
 *   options -> scout (who is meant) -> look, look, look ... -> judge -> model -> view -> painter -> terminal
 *                                        ^    keys, signals, time (top_tty.h)
 *
 * Each pair of neighbouring looks is one examination: the second look is the first of the next. Between them the
 * threads are glanced at twice, and the listeners' queues are read every interval where whole looks are rarer.
 *
 * 1. It costs less than 1 % of a processor: between two whole looks lie at least 125 times the processor time
 *    that the last round took, whatever interval was asked for.
 * 2. Nothing of the machine is changed; only `r` writes a file.
 * 3. The terminal is given back on every way out.
 */

#include "weir/doctor/look/facts.h"
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/rules/finding.h"
#include "weir/doctor/target.h"

enum top_exit {
    TOP_DONE = 0,
    TOP_FAILED = 1,
    TOP_NO_TARGET = 3,
    TOP_USAGE = 64,
    TOP_SIGNAL = 128, /* and the number of the signal */
};

/* argv[0] is the command's own name. */
int top_command(int argc, char **argv);

struct top_options {
    const char *target, *from; /* NULL: not given */
    uint32_t interval_ms;
    enum doctor_lang lang;
    bool lang_asked; /* --lang, not the environment */
    bool once, json, help;
};

/* 0, or -EINVAL with what is wrong and what would be right. locale: LC_ALL, LC_MESSAGES or LANG. */
WR_MUST int top_options(int argc, char **argv, const char *locale, struct top_options *out,
                        char *error, size_t n);

/* The findings of each program, put together in order. -ENOMEM: they are worth nothing. */
WR_MUST int top_judge(const struct facts *f, const struct target_groups *g,
                      struct findings *out);

struct stats_text;
struct top_model;
/* One object, one line. */
void top_json(struct stats_text *out, const struct top_model *m, const struct findings *found);

/* ---- where the facts come from: top_source.c ------------------------------------------------------- */
struct top_source; /* opaque: examination, facts, groups */

WR_MUST int top_source_new(const struct top_options *o, const struct wr_heap *heap,
                           struct top_source **out);
void top_source_free(struct top_source **s);

/* The first look, or the file. 0; -ESRCH: no such target; else another error. What is wrong stands in error. */
WR_MUST int top_source_begin(struct top_source *s, char *error, size_t n);
/* One glance at the threads. */
WR_MUST int top_source_glance(struct top_source *s);
/* The second look of the pair. -ESRCH: the target has gone. */
WR_MUST int top_source_look(struct top_source *s, uint32_t wait_ms);
/* Only the listeners; in *out, initialised, sealed. */
WR_MUST int top_source_pulse(struct top_source *s, struct facts_look *out);
/* The second look becomes the first one; now and then a new first look is taken. -ESRCH: the target has gone. */
WR_MUST int top_source_next(struct top_source *s);

const struct facts *top_source_facts(const struct top_source *s);
const struct target_groups *top_source_groups(const struct top_source *s);
/* Writes the pair of looks that is whole now. */
WR_MUST int top_source_record(struct top_source *s, const char *path);

#endif
