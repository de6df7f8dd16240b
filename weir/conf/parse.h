/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

/* What the files of this room share. */

#include "weir/conf/conf.h"

#define CONF_MAX_INCLUDES 32    /* files within files */
#define CONF_MAX_FILES    10000 /* includes in all: an honest bound for a bomb of doublings */
#define CONF_MAX_BLOCKS   64    /* blocks within blocks */

/* One directive from text, without location: `name args`. For defaults. */
WR_MUST int conf_parse_words(struct conf_load *load, struct conf_file *file,
                             struct conf_node **out_node);

#endif
