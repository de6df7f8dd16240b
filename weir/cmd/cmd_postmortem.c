/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/master/postmortem.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int usage(void)
{
    (void)fprintf(stderr, "usage: weir postmortem [--pid N] [DIRECTORY]\n");
    return CMD_USAGE;
}

/* The latest worker that died, or that with a pid: how, in what, its connections and last events. */
int cmd_postmortem(int argc, char **argv)
{
    const char *directory = CMD_PREFIX "logs";
    int pid = 0, i = 1;
    if (argc > 2 && strcmp(argv[1], "--pid") == 0) {
        char *end;
        long n = strtol(argv[2], &end, 10);
        if (*end || n < 1 || n > INT32_MAX)
            return usage();
        pid = (int)n;
        i = 3;
    }
    if (i + 1 < argc || (i < argc && argv[i][0] == '-'))
        return usage();
    if (i < argc)
        directory = argv[i];
    if (postmortem_print(directory, pid, 1) == 0)
        return CMD_OK;
    struct stat st;
    int err = wr_os_stat(directory, &st);
    if (!err && !S_ISDIR(st.st_mode))
        err = -ENOTDIR;
    if (err)
        (void)fprintf(stderr,
                      "weir postmortem: \"%s\": %s; name the directory of the pid file, or of "
                      "postmortem_path\n",
                      directory, wr_err_text(err));
    else
        (void)fprintf(
            stderr,
            "weir postmortem: no worker%s has left one in %s; they lie beside the pid file, "
            "or where postmortem_path says\n",
            pid ? " of that number" : "", directory);
    return CMD_FAILED;
}
