/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_CATALOGUE_H
#define DOCTOR_CATALOGUE_H

/*
 * What the doctor says about each disease, in two languages, from one file: catalogue.def.
 *
 * Texts are templates: {acceptq} becomes the value of that evidence, {pid} {tid} {comm} {listener} {peer} the
 * subject. What a finding does not have is printed as "?". Values of the target go through plain_put.
 */

#include "weir/doctor/rules/finding.h"

struct stats_text;

enum doctor_lang {
    LANG_EN,
    LANG_ZH,
    LANG_COUNT
};

struct rule_text {
    const char *title, *sentence, *why, *now, *fix, *not_it; /* "": nothing to say */
};

const struct rule_text *catalogue_text(enum rule_name rule, enum doctor_lang lang);

/* "1.2 s", "64 KiB", "98 %": a value in its unit, as the language writes it. */
void catalogue_value(struct stats_text *out, enum doctor_lang lang, enum evidence_unit unit,
                     uint64_t value);
void catalogue_fill(struct stats_text *out, enum doctor_lang lang, const char *template,
                    const struct finding *f);
/* Whether all {names} of a template are known. */
bool catalogue_known(const char *template);

#endif
