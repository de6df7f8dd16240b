/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "weir/doctor/top/top.h"

int cmd_top(int argc, char **argv)
{
    return top_command(argc, argv);
}
