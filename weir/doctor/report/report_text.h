/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_REPORT_TEXT_H
#define DOCTOR_REPORT_TEXT_H

/*
 * The form of a report for a person: labels in a first column, text broken by columns behind it.
 *
 *   Evidence  accept queue: 6 of 5 at both looks
 *             oldest has waited: 41.2 s
 */

#include "weir/doctor/report/report.h"

#define REPORT_LABEL 10 /* columns of a label, behind an indent of two */
#define REPORT_BODY  (2 + REPORT_LABEL)

unsigned report_columns(struct wr_span s);
void report_spaces(struct stats_text *out, unsigned n);
void report_colour(struct stats_text *out, const struct doctor_style *s, const char *code);
/* The word of a first line, bold; the cursor stands in REPORT_BODY. */
void report_label(struct stats_text *out, const struct doctor_style *s, const char *word);
/* Text from a column on (the cursor stands there), broken below the width; ends its line. */
void report_wrap(struct stats_text *out, const struct doctor_style *s, unsigned column,
                 struct wr_span text);
/* The same for a text that was formed; frees it. */
void report_wrap_text(struct stats_text *out, const struct doctor_style *s, unsigned column,
                      struct stats_text *text);

/* In quotes. UTF-8 stays; a byte that is none becomes U+FFFD, a control its escape. */
void report_json_string(struct stats_text *out, struct wr_span s);

#endif
