/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "libweir/base/compiler.h"
#include "libweir/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int codes[] = {
#define X(name, code, stage, text, fix) (code),
#include "libweir/base/err.def"
#undef X
};

static void print_error(int err)
{
    const char *stage = wr_err_stage(err), *fix = wr_err_fix(err);
    printf("%s (%d)\n  what   %s\n", wr_err_name(err), err, wr_err_text(err));
    if (stage[0])
        printf("  stage  %s\n", stage);
    if (fix[0])
        printf("  do     %s\n", fix);
}

/* A code as logs print it: WR_E_BUDGET, BUDGET, ECONNRESET or -104. 0 when it is none of these. */
static int parse_error(const char *word)
{
    char *end;
    long n = strtol(word, &end, 10);
    if (end != word && *end == '\0' && n < 0 && n > -100000)
        return strcmp(wr_err_name((int)n), "E?") == 0 ? 0 : (int)n;
    for (size_t i = 0; i < WR_ARRAY_LEN(codes); i++) {
        const char *name = wr_err_name(codes[i]);
        if (strcmp(word, name) == 0 || strcmp(word, name + strlen("WR_E_")) == 0)
            return codes[i];
    }
    for (int e = 1; e < 200; e++)
        if (strcmp(word, wr_err_name(-e)) == 0)
            return -e;
    return 0;
}

int cmd_errors(int argc, char **argv)
{
    if (argc > 2) {
        (void)fprintf(stderr, "usage: weir errors [NAME|CODE]\n");
        return CMD_USAGE;
    }
    if (argc == 2) {
        int err = parse_error(argv[1]);
        if (!err) {
            (void)fprintf(
                stderr,
                "weir errors: \"%s\" is no error name or code; `weir errors` lists them\n",
                argv[1]);
            return CMD_FAILED;
        }
        print_error(err);
        return CMD_OK;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(codes); i++)
        print_error(codes[i]);
    return CMD_OK;
}
