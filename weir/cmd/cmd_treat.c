/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/doctor/treat/treat.h"

/* Applies a remedy of the doctor to a running process. */
int cmd_treat(int argc, char **argv)
{
    return treat_main(argc, argv);
}
