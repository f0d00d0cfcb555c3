// SPDX-License-Identifier: Apache-2.0
#include "common/base/version.h"

#include <string.h>

#if defined(__x86_64__)
#define ARCH "amd64"
#elif defined(__aarch64__)
#define ARCH "arm64"
#elif defined(__riscv)
#define ARCH "riscv64"
#else
#define ARCH "unknown"
#endif

const char *
version_git(void)
{
    return CKUBE_VERSION;
}

const char *
version_sha(void)
{
    return CKUBE_GIT_SHA;
}

const char *
version_platform(void)
{
    return "linux/" ARCH;
}

int
version_minor(void)
{
    const char *dot = strchr(CKUBE_VERSION, '.');

    return dot ? (int)strtol(dot + 1, NULL, 10) : 0;
}

void
version_json(struct sbuf *out)
{
    sbuf_addf(out,
              "{\n  \"major\": \"1\",\n  \"minor\": \"%d\",\n  \"gitVersion\": \"%s\",\n  \"gitCommit\": \"%s\",\n"
              "  \"gitTreeState\": \"clean\",\n  \"buildDate\": \"1970-01-01T00:00:00Z\",\n  \"goVersion\": \"none (ckube, C)\",\n"
              "  \"compiler\": \"%s\",\n  \"platform\": \"%s\"\n}",
              version_minor(), version_git(), version_sha(),
#ifdef __clang__
              "clang",
#else
              "gcc",
#endif
              version_platform());
}

char *
version_user_agent(const char *component)
{
    return xasprintf("%s/%s (%s) ckube/%s", component, version_git(), version_platform(), version_sha());
}
