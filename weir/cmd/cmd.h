/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_CMD_CMD_H
#define WEIR_CMD_CMD_H

/*
 * The subcommands of the program: one row each in main.c's table, one cmd_x.c each. main picks the row by
 * the first word and gives it the rest; usage and `weir help` are printed from the rows.
 *
 * Exit status: 0 done, 1 it could not be done, 64 the command line is wrong (EX_USAGE).
 */

/* nginx's version whose directives and habits these are; where things lie unless -p and -c say otherwise. */
#define CMD_NGINX  "1.31.0"
#define CMD_PREFIX "/usr/local/weir/"
#define CMD_CONF   "conf/weir.conf"

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

int cmd_check(int argc, char **argv);
int cmd_directives(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_errors(int argc, char **argv);
int cmd_postmortem(int argc, char **argv);
int cmd_selftest(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_treat(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Without a subcommand: nginx's switches. argv[0] is the program. */
int cmd_server(int argc, char **argv);
void cmd_print_version(int fd); /* one line, as nginx -v */
void cmd_print_build(int fd);   /* the further lines of -V */

#endif
