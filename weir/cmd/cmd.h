/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_CMD_CMD_H
#define WEIR_CMD_CMD_H

/*
 * The subcommands of the program: one row each in main.c's table, one cmd_x.c each. main picks the row by
 * the first word and gives it the rest; usage and `weir help` are printed from the rows.
 *
 * Exit status: 0 done, 1 it could not be done, 64 the command line is wrong (EX_USAGE).
 */

enum cmd_exit {
    CMD_OK = 0,
    CMD_FAILED = 1,
    CMD_USAGE = 64,
};

struct cmd {
    const char *name;
    const char *args;                  /* as the usage line shows them */
    const char *doc;                   /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand's own name */
};

int cmd_errors(int argc, char **argv);
int cmd_selftest(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
