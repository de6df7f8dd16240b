/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/doctor/command.h"

/* Its exit status is its own: see enum doctor_exit. */
int cmd_doctor(int argc, char **argv)
{
    return doctor_command(argc, argv);
}
