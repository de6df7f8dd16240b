/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_HOT_ANSWER_H
#define CONTENT_HOT_ANSWER_H

/*
 * Whole answers of hot files: a request for one is a look into a table, and two copies.
 *
 * Where nothing of a location's answers depends on the request (its head filters say so, its root is a
 * constant, nothing limits the rate), the head that was formed for a file is kept beside the file, under the
 * URI that led to it. The next request for that URI without a condition, a range or a body takes head and
 * body as they lie there; only the 29 bytes of the date change, once a second.
 *
 * 1. An answer belongs to its file and goes with it; hot_fresh is asked before each use.
 * 2. Access, rewriting, limits and logs are phases of their own and happen as ever.
 *
 * Only the static module calls.
 */

#include "weir/content/hot.h"

struct web_worker;

WR_MUST int hot_answers_start(struct web_worker *w, struct web_generation *g);
void hot_answers_stop(struct web_generation *g);

/* WEB_NEXT: not this way. */
int hot_answer_send(struct web_req *r);
/* The head has just been formed and sent: keep it. */
void hot_answer_keep(struct web_req *r, struct web_file *file);

#endif
