/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_GLOB_H
#define WEB_GLOB_H

/*
 * Paths that match a pattern, for include: *, ?, [a-z], [!a-z] within one component, as glob(7) says.
 *
 * 1. A dot at the beginning of a name is matched only by a dot.
 * 2. Results are sorted by their bytes; directories that cannot be read hold nothing.
 * 3. A link that leads nowhere counts: a site that is gone must not be gone in silence.
 * 4. At most GLOB_MAX paths: WR_E_TOO_BIG.
 */

#include "libweir/base/mem_arena.h"

#define GLOB_MAX 10000

bool glob_match(const char *pattern, const char *name);
/* How many there are, in the arena; negative: no memory or too many. */
WR_MUST int glob_paths(const char *pattern, struct wr_arena *arena, const char ***out_paths);

#endif
