/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/compiler.h"
#include "weir/cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static int cmd_help(int argc, char **argv);

static const struct cmd commands[] = {
    {"errors",   "[NAME|CODE]", "what an error code means, where it happens and what to do",
     cmd_errors                                                                                          },
    {"help",     "",            "this list",                                                 cmd_help    },
    {"selftest", "sandbox",     "tries what the sandbox of the workers must refuse",         cmd_selftest},
    {"version",  "",            "the version of the program and the library",                cmd_version },
};

static void print_usage(FILE *to)
{
    (void)fprintf(to, "usage: weir COMMAND [ARGUMENT ...]\n\n");
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++)
        (void)fprintf(to, "  %-8s %-12s %s\n", commands[i].name, commands[i].args,
                      commands[i].doc);
    (void)fprintf(to, "\nExit status: 0 done, 1 not done, 64 wrong command line.\n");
}

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_usage(stdout);
    return CMD_OK;
}

/* The words that every program answers, whatever its subcommands are called. */
static const char *command_name(const char *word)
{
    static const char *const alias[][2] = {
        {"--help",     "help"    },
        {"--selftest", "selftest"},
        {"--version",  "version" }
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(alias); i++)
        if (strcmp(word, alias[i][0]) == 0)
            return alias[i][1];
    return word;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return CMD_USAGE;
    }
    const char *name = command_name(argv[1]);
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argv[1][0] == '-') /* nginx's switches */
        return cmd_server(argc, argv);
    (void)fprintf(stderr, "weir: unknown command \"%s\"; `weir help` lists them\n", argv[1]);
    return CMD_USAGE;
}
