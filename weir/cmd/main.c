/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/compiler.h"
#include "weir/cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static int cmd_help(int argc, char **argv);

static const struct cmd commands[] = {
    {"check",      "FILE",                                                    "what a correct configuration does not say as it was meant", cmd_check     },
    {"directives", "[NAME]",                                                  "what is known of a directive, or of all",                   cmd_directives},
    {"doctor",     "[TARGET ...] [--json] [--watch] [--while -- COMMAND]",
     "why a running server hangs: cause, evidence, remedy; --help says more",                                                              cmd_doctor    },
    {"errors",     "[NAME|CODE]",                                             "what an error code means, where it happens and what to do",
     cmd_errors                                                                                                                                          },
    {"explain",    "FILE METHOD URL [-H 'NAME: VALUE']",
     "which server and location answer, why, and what applies there",                                                                      cmd_explain   },
    {"help",       "",                                                        "this list",                                                 cmd_help      },
    {"postmortem", "[--pid N] [DIRECTORY]",                                   "the last words of a worker that died",
     cmd_postmortem                                                                                                                                      },
    {"selftest",   "sandbox",                                                 "tries what the sandbox of the workers must refuse",         cmd_selftest  },
    {"serve",      "[DIR] [--listen ADDRESS] [--autoindex] [--print-config]",
     "a folder on a port, without a file to write first",                                                                                  cmd_serve     },
    {"top",        "[TARGET] [--interval 1s] [--once] [--json]",
     "what a server is waiting for, live on a full screen",                                                                                cmd_top       },
    {"treat",      "RULE --pid PID | :PORT [--yes] [--dry-run]",
     "applies a remedy that the doctor names to the running process",                                                                      cmd_treat     },
    {"version",    "",                                                        "the version of the program and the library",                cmd_version   },
};

static void print_usage(FILE *to)
{
    (void)fprintf(
        to, "usage: weir [-tTqvV] [-c FILE] [-p PREFIX] [-g DIRECTIVES] [-e FILE] [-s SIGNAL]\n"
            "       weir COMMAND [ARGUMENT ...]\n\n");
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++)
        (void)fprintf(to, "  %-10s %s%s%s\n", commands[i].name, commands[i].args,
                      commands[i].args[0] ? "\n             " : "", commands[i].doc);
    (void)fprintf(to, "\nExit status: 0 done, 1 not done, 64 wrong command line.\n");
}

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_usage(stdout);
    return CMD_OK;
}

/* What begins with a dash is nginx's switches, but for the words that every program answers. */
static const char *command_name(const char *word)
{
    static const char *const alias[][2] = {
        {"--help",     "help"    },
        {"--selftest", "selftest"},
        {"--version",  "version" },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(alias); i++)
        if (strcmp(word, alias[i][0]) == 0)
            return alias[i][1];
    return word[0] == '-' ? NULL : word;
}

int main(int argc, char **argv)
{
    const char *name = argc < 2 ? NULL : command_name(argv[1]);
    if (!name)
        return cmd_server(argc, argv);
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "weir: unknown command \"%s\"; `weir help` lists them\n", argv[1]);
    return CMD_USAGE;
}
