// SPDX-License-Identifier: Apache-2.0
/* log_format.h - lines of container logs as runtimes write them (CRI): `<RFC 3339 nano> <stream> <P|F> <text>`.  Pure. */
#ifndef CKUBE_KUBELET_SERVER_LOG_FORMAT_H
#define CKUBE_KUBELET_SERVER_LOG_FORMAT_H

#include <stdbool.h>

#include "common/api/values.h"
#include "common/base/sbuf.h"

struct log_options {
    bool follow, previous, timestamps;
    int64_t tail_lines;  /* -1 = all */
    int64_t limit_bytes; /* -1 = no limit */
    bool has_since;
    struct api_time since;
    char stream[8]; /* "stdout", "stderr"; "" = both */
};

struct log_filter { /* state between lines */
    const struct log_options *o;
    bool partial; /* the line before was a part: no time stamp, no newline between */
    int64_t left; /* bytes; -1 = no limit */
};
void log_filter_init(struct log_filter *f, const struct log_options *o);
/* One line of the file without its newline; appends what the client gets.  False: the limit is reached. */
bool log_filter_line(struct log_filter *f, const char *line, size_t len, struct sbuf *out);
/* Offset in the text at which the last n whole lines start. */
size_t log_tail_offset(const char *text, size_t len, int64_t n);

#endif
