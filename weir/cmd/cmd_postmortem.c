/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/master/postmortem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    (void)fprintf(stderr, "usage: weir postmortem [--pid N] [DIRECTORY]\n");
    return CMD_USAGE;
}

/* The latest worker that died, or that with a pid: how, in what, its connections and last events. */
int cmd_postmortem(int argc, char **argv)
{
    const char *directory = CMD_PREFIX "logs";
    int pid = 0, i = 1;
    if (argc > 2 && strcmp(argv[1], "--pid") == 0) {
        char *end;
        long n = strtol(argv[2], &end, 10);
        if (*end || n < 1 || n > INT32_MAX)
            return usage();
        pid = (int)n;
        i = 3;
    }
    if (i < argc && argv[i][0] == '-')
        return usage();
    if (i < argc)
        directory = argv[i];
    if (postmortem_print(directory, pid, 1) == 0)
        return CMD_OK;
    (void)fprintf(stderr, "weir: no postmortem%s in %s\n", pid ? " of that process" : "",
                  directory);
    return CMD_FAILED;
}
