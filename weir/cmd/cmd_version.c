/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "libweir/libweir.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("weir %s\n", WR_VERSION);
    return CMD_OK;
}
