/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"
#include "weir/web/load.h"
#include "weir/web/worker.h"

/* In the foreground, one process. */
int cmd_site_run(const struct cmd_site *site, const struct opt *o)
{
    struct web_config *config;
    (void)o;
    if (web_load(wr_os_heap(), &site->source, NULL, &config))
        return CMD_FAILED;
    int err = web_worker_run_alone(config->generation, NULL);
    if (err)
        out_print(2, "weir: [emerg] %s\n", wr_err_text(err));
    web_config_free(&config);
    return err ? CMD_FAILED : CMD_OK;
}
