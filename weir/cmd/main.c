/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/compiler.h"
#include "weir/cmd/cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int cmd_help(int argc, char **argv);

static const struct cmd commands[] = {
    {"check",      "FILE | --rules",                                          "what a correct configuration does not say as it was meant",
     cmd_check                                                                                                                                           },
    {"directives", "[NAME] | --man",                                          "what is known of a directive, or of all",                   cmd_directives},
    {"doctor",     "[TARGET ...] [--json] [--watch] [--while -- COMMAND]",
     "why a running server hangs: cause, evidence, remedy; --help says more",                                                              cmd_doctor    },
    {"errors",     "[NAME|CODE]",                                             "what an error code means, where it happens and what to do",
     cmd_errors                                                                                                                                          },
    {"explain",    "FILE METHOD URL [-H 'NAME: VALUE']",
     "which server and location answer, why, and what applies there",                                                                      cmd_explain   },
    {"help",       "[COMMAND]",                                               "this list, or all about one command",                       cmd_help      },
    {"postmortem", "[--pid N] [DIRECTORY]",                                   "the last words of a worker that died",
     cmd_postmortem                                                                                                                                      },
    {"selftest",   "sandbox [USER]",                                          "tries what the sandbox of the workers must refuse",
     cmd_selftest                                                                                                                                        },
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

static const struct cmd *find(const char *name)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *word)
{
    (void)fprintf(stderr, "weir: unknown command \"%s\"; `weir help` lists them\n", word);
    return CMD_USAGE;
}

/* Those whose row says not all have a page of their own behind --help. */
static bool has_page(const struct cmd *c)
{
    return c->run == cmd_doctor || c->run == cmd_top || c->run == cmd_treat;
}

static int print_command(const struct cmd *c)
{
    char help[] = "--help";
    char *argv[] = {(char[]){""}, help, NULL};
    if (has_page(c))
        return c->run(2, argv);
    (void)printf("usage: weir %s%s%s\n\n  %s\n\nman 1 weir, man 8 weir\n", c->name,
                 c->args[0] ? " " : "", c->args, c->doc);
    return CMD_OK;
}

static int cmd_help(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stdout);
        return CMD_OK;
    }
    const struct cmd *c = find(argv[1]);
    return c ? print_command(c) : unknown(argv[1]);
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
    const struct cmd *c = find(name);
    if (!c)
        return unknown(argv[1]);
    if (argc == 3 && strcmp(argv[2], "--help") == 0)
        return print_command(c);
    return c->run(argc - 1, argv + 1);
}
