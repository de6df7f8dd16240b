/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_OPT_H
#define CMD_OPT_H

/*
 * nginx's switches, in all its spellings: -t -T -q, -tq, -c FILE, -cFILE, -tc FILE.
 *
 * A switch with a parameter takes the rest of its word, or the next word. Everything that is not a switch is an
 * error; subcommands are looked at before.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

enum opt_signal {
    OPT_NO_SIGNAL,
    OPT_STOP,
    OPT_QUIT,
    OPT_REOPEN,
    OPT_RELOAD
};

struct opt {
    bool help, version, details;                        /* -h, -v, -V */
    bool test, dump, quiet;                             /* -t, -T (which tests too), -q */
    const char *prefix, *file, *directives, *error_log; /* NULL: not given */
    enum opt_signal signal;
};

/* argv[0] is skipped. On failure error says why, as nginx does: `invalid option: "x"`. */
WR_MUST int opt_parse(int argc, char *const argv[], struct opt *out, char *error, size_t n);

#endif
