/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/master/sandbox.h"

#include <stdio.h>
#include <string.h>

/* weir selftest sandbox, also weir --selftest sandbox: prints each act and its verdict. */
int cmd_selftest(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "sandbox") != 0) {
        (void)fprintf(stderr, "usage: weir selftest sandbox [USER]\n");
        return CMD_USAGE;
    }
    return sandbox_selftest(1, argc > 2 ? argv[2] : "nobody");
}
