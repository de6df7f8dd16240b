/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "libweir/libweir.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        (void)fprintf(stderr, "usage: weir version\n");
        return CMD_USAGE;
    }
    printf("weir %s\n", WR_VERSION);
    return CMD_OK;
}
