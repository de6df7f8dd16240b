/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors of a start, and what their reader can do about them.
 */
#include "libweir/base/err.h"
#include "weir/master/master_private.h"

#include <errno.h>

static const struct {
    int err;
    const char *text;
} remedies[] = {
    {EADDRINUSE,    "; another process listens there: `ss -ltnp` names it"                           },
    {EADDRNOTAVAIL, "; no interface has this address: `ip addr` shows those there are"               },
    {EMFILE,        "; raise the limit of descriptors (ulimit -n, LimitNOFILE=)"                     },
    {ENFILE,        "; the system is out of descriptors: raise fs.file-max"                          },
    {EAGAIN,        "; raise the limit of processes (ulimit -u, TasksMax=)"                          },
    {ENOMEM,        "; raise the limit of memory (ulimit -v, MemoryMax=) or use fewer workers"       },
    {EFBIG,
     "; raise the limit of file sizes (ulimit -f, LimitFSIZE=): shared memory is a file"             },
    {ENOSPC,        "; the file system is full"                                                      },
    {EROFS,         "; the file system is mounted read-only"                                         },
    {ENXIO,         "; it is a pipe that nobody reads"                                               },
    {EACCES,        "; this user may not: start as root, or choose another path or a port above 1023"},
    {EPERM,         "; this user may not: start as root, or choose another path or a port above 1023"},
    {ENOENT,        "; create the directory first"                                                   },
};

const char *remedy_text(int err)
{
    for (unsigned i = 0; i < WR_ARRAY_LEN(remedies); i++)
        if (remedies[i].err == -err)
            return remedies[i].text;
    return "";
}
