// SPDX-License-Identifier: Apache-2.0
/* klog.h - log lines as upstream's daemons write them, in klog text or JSON, to standard error.
 *   I1122 07:03:00.000000    4711 queue.c:88] "Pod bound" pod="ns/a" node="n1" took_ms="4"
 * One sentence and string pairs: log_info("Pod bound", "pod", key, "took_ms", kv_int(4));
 * Levels: error = someone must act; warning = it heals itself, say how; info = a state changed;
 * log_v(n, ...) = detail, shown from --v=n or by --vmodule=file=n.  Any thread; a line is written whole.
 * Secrets are never passed to these calls. */
#ifndef CKUBE_BASE_KLOG_H
#define CKUBE_BASE_KLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"

enum klog_level { KLOG_INFO, KLOG_WARNING, KLOG_ERROR, KLOG_FATAL };
enum klog_format { KLOG_TEXT, KLOG_JSON };

void klog_set_format(enum klog_format format);
void klog_set_verbosity(int v);
struct kerr *klog_set_vmodule(const char *spec) MUST_CHECK; /* "queue=4,store*=2": base name without .c */
bool klog_v_on(int v, const char *file);

void klog_write(enum klog_level level, const char *file, int line, const char *message, ...)
    __attribute__((sentinel));

#define log_info(...) klog_write(KLOG_INFO, __FILE__, __LINE__, __VA_ARGS__, NULL)
#define log_warning(...) klog_write(KLOG_WARNING, __FILE__, __LINE__, __VA_ARGS__, NULL)
#define log_error(...) klog_write(KLOG_ERROR, __FILE__, __LINE__, __VA_ARGS__, NULL)
#define log_v(v, ...)                                                                              \
    do {                                                                                           \
        if (klog_v_on((v), __FILE__))                                                              \
            klog_write(KLOG_INFO, __FILE__, __LINE__, __VA_ARGS__, NULL);                          \
    } while (0)

/* Values for pairs; the text lives until the end of the enclosing block. */
#define kv_int(n) klog_format_int((char[24]){ 0 }, (n))
#define kv_err(err) ((err) ? (err)->message : "<nil>")
const char *klog_format_int(char *buf, int64_t n);

/* For messages in loops: true at most once per `interval_ms` per `last_ms` variable. */
bool klog_every(uint64_t *last_ms, uint64_t now_ms, uint64_t interval_ms);

#endif
