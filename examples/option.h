/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_EXAMPLES_OPTION_H
#define WEIR_EXAMPLES_OPTION_H

/*
 * The command line of the examples: an address first, then name=value words.
 */

#include <stdlib.h>
#include <string.h>

static inline const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    size_t n = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return otherwise;
}

static inline unsigned option_number(int argc, char **argv, const char *name,
                                     unsigned otherwise)
{
    const char *text = option(argc, argv, name, NULL);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static inline const char *option_address(int argc, char **argv, const char *otherwise)
{
    return argc > 1 && !strchr(argv[1], '=') ? argv[1] : otherwise;
}

#endif
