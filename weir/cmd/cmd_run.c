/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/site.h"

#include "libweir/libweir.h"
#include "weir/master/master.h"

int cmd_site_run(const struct cmd_site *site, const struct opt *o)
{
    return master_run(&(struct master_options){
        .source = &site->source,
        .version = WR_VERSION,
        .error_log = o->error_log,
        .quiet = o->quiet,
    });
}
