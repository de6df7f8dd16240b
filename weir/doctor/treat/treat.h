/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TREAT_H
#define DOCTOR_TREAT_H

/*
 * weir treat: applies the one remedy that a finding of the doctor names to the process that runs, without a restart.
 *
 *   hold the process -> examine -> the finding holds? -> what would change -> ask -> change -> examine again
 *
 * rules/treatments.def has a row for each remedy; a remedy is a kind (treat_private.h): which descriptors or sockets it
 * touches, how their state reads, what is done to one of them. All else, from the question to the line in the
 * log, is the same for all.
 *
 * 1. Nothing is changed unless the finding holds now, the process is the one that was examined (a pidfd taken before
 *    the first look still lives), each socket is the one that was seen (its cookie), and somebody said yes.
 * 2. One call applies one treatment to one process. --undo takes back only what the printed command names.
 * 3. Before and after are read from the kernel, never assumed. "Done" means that the finding is gone.
 * 4. Whatever was changed is one line on stderr and, where there is a system log, there.
 *
 * One thread. treat() owns all it allocates and frees it before it returns.
 */

#include "weir/doctor/report/catalogue.h"

enum treat_exit {
    TREAT_DONE = 0,
    TREAT_NO_HELP = 1,
    TREAT_REFUSED = 2, /* the finding is not there, or nobody said yes */
    TREAT_NO_TARGET = 3,
    TREAT_NO_PRIVILEGE = 4,
    TREAT_USAGE = 64,
};

struct treat_options {
    enum rule_name rule;
    const char *way; /* NULL: the rule's first */
    uint32_t pid;    /* 0: whoever holds port */
    uint16_t port;
    uint64_t to;
    const char *fds; /* "3,7": only these; NULL: all */
    uint32_t wait_ms;
    struct thresholds limits; /* as the doctor's --set */
    enum doctor_lang lang;
    bool has_to, yes, dry_run, json, undo;
};

/* argv[0] is the command's own name. 0; TREAT_USAGE: a line on stderr said why; 1: help was asked for and given. */
WR_MUST int treat_parse(int argc, char **argv, struct treat_options *out);
WR_MUST int treat(const struct treat_options *o); /* enum treat_exit */
/* All that is done by `weir treat ARGUMENTS`. */
int treat_main(int argc, char **argv);

#endif
