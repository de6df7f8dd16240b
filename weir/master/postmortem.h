/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_POSTMORTEM_H
#define MASTER_POSTMORTEM_H

/*
 * Reading what dump.c has written. The files need no running server.
 */

#include "libweir/base/compiler.h"

#define POSTMORTEM_FILES 10

/* Prints the latest postmortem in the directory, or the latest of a pid (0: any), to fd. WR_E_NOT_FOUND. */
WR_MUST int postmortem_print(const char *directory, int pid, int fd);

#endif
