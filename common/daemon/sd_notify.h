// SPDX-License-Identifier: Apache-2.0
/* sd_notify.h - tells systemd that the service is ready ($NOTIFY_SOCKET).  Silent where there is no systemd.  Any thread. */
#ifndef CKUBE_DAEMON_SD_NOTIFY_H
#define CKUBE_DAEMON_SD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mem.h"

/* Lines as sd_notify(3): "READY=1", "STATUS=waiting for ...", "WATCHDOG=1".  True when it was sent. */
bool sd_notify_send(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* How often WATCHDOG=1 is due (half of WATCHDOG_USEC when it is meant for this process); 0 = never. */
uint64_t sd_notify_watchdog_ms(void);

#endif
