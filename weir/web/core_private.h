/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_CORE_PRIVATE_H
#define WEB_CORE_PRIVATE_H

/* The setters of core.c and others, for the rows in core_rows.c. */

#include "weir/web/core.h"

conf_setter core_set_events, core_set_http, core_set_user, core_set_use, core_set_processes,
    core_set_root, core_set_temp_path, core_set_symlinks, core_set_file_cache, core_set_aio,
    core_set_directio, core_set_thread_pool, core_set_keepalive, core_set_resolver,
    core_set_tokens, core_set_internal;

extern const struct conf_row core_rows[];

#endif
