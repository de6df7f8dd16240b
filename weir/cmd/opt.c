/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/opt.h"

#include "libweir/base/err.h"

#include <stdio.h>
#include <string.h>

static int parse_signal(const char *word, enum opt_signal *out)
{
    static const char *const names[] = {
        [OPT_STOP] = "stop",
        [OPT_QUIT] = "quit",
        [OPT_REOPEN] = "reopen",
        [OPT_RELOAD] = "reload",
    };
    for (size_t i = OPT_STOP; i < WR_ARRAY_LEN(names); i++) {
        if (strcmp(word, names[i]) == 0) {
            *out = (enum opt_signal)i;
            return 0;
        }
    }
    return WR_E_SYNTAX;
}

/* A switch alone. False: not one of these. */
static bool set_flag(struct opt *o, char c)
{
    switch (c) {
    case '?':
    case 'h':
        o->help = true;
        return true;
    case 'v':
        o->version = true;
        return true;
    case 'V':
        o->details = true;
        return true;
    case 'T':
        o->dump = true;
        o->test = true;
        return true;
    case 't':
        o->test = true;
        return true;
    case 'q':
        o->quiet = true;
        return true;
    default:
        return false;
    }
}

/* Where the parameter of a switch goes, and what it is called. NULL: not one of these. */
static const char **parameter(struct opt *o, char c, const char **signal, const char **out_what)
{
    switch (c) {
    case 'p':
        *out_what = "directory name";
        return &o->prefix;
    case 'e':
        *out_what = "file name";
        return &o->error_log;
    case 'c':
        *out_what = "file name";
        return &o->file;
    case 'g':
        *out_what = "parameter";
        return &o->directives;
    case 's':
        *out_what = "parameter";
        return signal;
    default:
        return NULL;
    }
}

int opt_parse(int argc, char *const argv[], struct opt *out, char *error, size_t n)
{
    struct opt o = {0};
    for (int i = 1; i < argc; i++) {
        const char *p = argv[i], *signal = NULL, *what = NULL;
        if (*p++ != '-') {
            (void)snprintf(error, n, "invalid option: \"%s\"", argv[i]);
            return WR_E_SYNTAX;
        }
        while (*p && set_flag(&o, *p))
            p++;
        if (!*p)
            continue;
        const char **to = parameter(&o, *p, &signal, &what);
        if (!to) {
            (void)snprintf(error, n, "invalid option: \"%c\"", *p);
            return WR_E_SYNTAX;
        }
        char name = *p++;
        *to = *p ? p : i + 1 < argc ? argv[++i] : NULL;
        if (!*to || !**to) {
            (void)snprintf(error, n, "option \"-%c\" requires %s", name, what);
            return WR_E_SYNTAX;
        }
        if (signal && parse_signal(signal, &o.signal)) {
            (void)snprintf(error, n, "invalid option: \"-s %s\"", signal);
            return WR_E_SYNTAX;
        }
    }
    *out = o;
    return 0;
}
