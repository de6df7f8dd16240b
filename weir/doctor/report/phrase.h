/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_PHRASE_H
#define DOCTOR_PHRASE_H

/*
 * English words that come with the facts (what a thread waits for, why something was not checked, what a limit
 * means), said in the report's language.
 *
 * The rules and the looks write English, which is what recordings and JSON keep; phrases.def has the other languages,
 * as patterns with {} for names and numbers.
 *
 * 1. A text without a row is printed as it came. 2. All goes through plain_put, also what stood for a {}.
 */

#include "weir/doctor/report/catalogue.h"

void phrase_put(struct stats_text *out, enum doctor_lang lang, const char *text);
/* Has phrases.def a row that fits all of it? */
bool phrase_known(const char *text);

#endif
