// SPDX-License-Identifier: Apache-2.0
/* version.h - what this build calls itself towards people and peers.  Constant strings, any thread. */
#ifndef CKUBE_BASE_VERSION_H
#define CKUBE_BASE_VERSION_H

#include "common/base/mem.h"
#include "common/base/sbuf.h"

const char *version_git(void);      /* "v1.35.0": the Kubernetes release whose API is spoken */
const char *version_sha(void);      /* ckube's own commit */
const char *version_platform(void); /* "linux/amd64" */
int version_minor(void);            /* 35 */
/* The body of GET /version (apimachinery's version.Info). */
void version_json(struct sbuf *out);
/* "kube-scheduler/v1.35.0 (linux/amd64) ckube/<sha>" */
char *version_user_agent(const char *component) MUST_CHECK;

#endif
