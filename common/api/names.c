// SPDX-License-Identifier: Apache-2.0
#include "common/api/names.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

#define LABEL_RE "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN_RE LABEL_RE "(\\." LABEL_RE ")*"
#define UNDERSCORE_RE "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
#define KEY_RE "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

#define SUBDOMAIN_MSG                                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '" SUBDOMAIN_RE "')"
#define SUBDOMAIN_LEN_MSG "must be no more than 253 characters"
#define KEY_MSG                                                                                                        \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" KEY_RE "')"

/* The list of messages under construction. */
struct why {
    const char **items;
    unsigned n;
};

static void
add(struct why *why, const char *message)
{
    if (why->n < NAME_MAX_ERRORS)
        why->items[why->n++] = message;
}

static inline bool
is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static inline bool
is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, with '_' allowed inside and in front when underscore. */
static bool
is_label(const char *s, size_t len, bool underscore)
{
    if (underscore && len > 0 && s[0] == '_')
        s++, len--;
    if (len == 0 || !is_lower_alnum(s[0]) || !is_lower_alnum(s[len - 1]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_lower_alnum(s[i]) && s[i] != '-' && !(underscore && s[i] == '_'))
            return false;
    return true;
}

static bool
is_subdomain(const char *s, size_t len, bool underscore)
{
    const char *end = s + len;

    for (;;) {
        const char *dot = memchr(s, '.', (size_t)(end - s));
        if (!is_label(s, (size_t)((dot ? dot : end) - s), underscore))
            return false;
        if (!dot)
            return true;
        s = dot + 1;
    }
}

static bool
is_key_part(const char *s, size_t len)
{
    if (len == 0 || !is_alnum(s[0]) || !is_alnum(s[len - 1]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
            return false;
    return true;
}

static void
check_subdomain(const char *s, size_t len, struct why *why)
{
    if (len > 253)
        add(why, SUBDOMAIN_LEN_MSG);
    if (!is_subdomain(s, len, false))
        add(why, SUBDOMAIN_MSG);
}

static void
check_underscore(const char *s, size_t len, struct why *why)
{
    if (len > 253)
        add(why, SUBDOMAIN_LEN_MSG);
    if (!is_subdomain(s, len, true))
        add(why, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
                 "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
                 "is '" UNDERSCORE_RE "(\\." UNDERSCORE_RE ")*')");
}

static void
check_label(const char *s, size_t len, struct why *why)
{
    if (len > 63)
        add(why, "must be no more than 63 characters");
    if (is_label(s, len, false))
        return;
    if (is_subdomain(s, len, false))
        add(why, "must not contain dots");
    else
        add(why, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
                 "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
                 "'" LABEL_RE "')");
}

static void
check_label_1035(const char *s, size_t len, struct why *why)
{
    if (len > 63)
        add(why, "must be no more than 63 characters");
    if (!is_label(s, len, false) || s[0] < 'a')
        add(why, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                 "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
                 "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
}

static void
check_wildcard(const char *s, size_t len, struct why *why)
{
    if (len > 253)
        add(why, SUBDOMAIN_LEN_MSG);
    if (len < 2 || s[0] != '*' || s[1] != '.' || !is_subdomain(s + 2, len - 2, false))
        add(why, "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
                 "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character "
                 "(e.g. '*.example.com', regex used for validation is '\\*\\." SUBDOMAIN_RE "')");
}

static void
check_qualified(const char *s, size_t len, struct why *why)
{
    const char *slash = memchr(s, '/', len);

    if (slash) {
        size_t prefix = (size_t)(slash - s);
        if (memchr(slash + 1, '/', len - prefix - 1)) {
            add(why, "a valid label key " KEY_MSG " with an optional DNS subdomain prefix and '/' (e.g. "
                     "'example.com/MyName')");
            return;
        }
        if (prefix == 0)
            add(why, "prefix part must be non-empty");
        else {
            if (prefix > 253)
                add(why, "prefix part must be no more than 253 bytes");
            if (!is_subdomain(s, prefix, false))
                add(why, "prefix part " SUBDOMAIN_MSG);
        }
        s = slash + 1;
        len -= prefix + 1;
    }
    if (len == 0)
        add(why, "name part must be non-empty");
    else if (len > 63)
        add(why, "name part must be no more than 63 bytes");
    if (!is_key_part(s, len))
        add(why, "name part " KEY_MSG);
}

static void
check_label_value(const char *s, size_t len, struct why *why)
{
    if (len > 63)
        add(why, "must be no more than 63 bytes");
    if (len > 0 && !is_key_part(s, len))
        add(why, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
                 "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex "
                 "used for validation is '(" KEY_RE ")?')");
}

static void
check_path_prefix(const char *s, size_t len, struct why *why)
{
    if (memchr(s, '/', len))
        add(why, "may not contain '/'");
    if (memchr(s, '%', len))
        add(why, "may not contain '%'");
}

static void
check_path_segment(const char *s, size_t len, struct why *why)
{
    if (strcmp(s, ".") == 0)
        add(why, "may not be '.'");
    else if (strcmp(s, "..") == 0)
        add(why, "may not be '..'");
    else
        check_path_prefix(s, len, why);
}

static void
check_env_var(const char *s, size_t len, struct why *why)
{
    if (len == 0)
        add(why, "environment variable name must be non-empty");
    for (size_t i = 0; i < len; i++)
        if (s[i] < ' ' || s[i] > '~' || s[i] == '=') {
            add(why, "a valid environment variable name must consist only of printable ASCII characters other than '='");
            return;
        }
}

static void
check_config_key(const char *s, size_t len, struct why *why)
{
    bool ok = len > 0;

    if (len > 253)
        add(why, SUBDOMAIN_LEN_MSG);
    for (size_t i = 0; i < len; i++)
        ok = ok && (is_alnum(s[i]) || strchr("-_.", s[i]));
    if (!ok)
        add(why, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                 "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
    if (strcmp(s, ".") == 0)
        add(why, "must not be '.'");
    else if (strcmp(s, "..") == 0)
        add(why, "must not be '..'");
    else if (strncmp(s, "..", 2) == 0)
        add(why, "must not start with '..'");
}

static void
check_port(const char *s, size_t len, struct why *why)
{
    bool charset = len > 0, letter = false;

    for (size_t i = 0; i < len; i++) {
        charset = charset && (is_lower_alnum(s[i]) || s[i] == '-');
        letter = letter || (s[i] >= 'a' && s[i] <= 'z');
    }
    if (len > 15)
        add(why, "must be no more than 15 characters");
    if (!charset)
        add(why, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!letter)
        add(why, "must contain at least one letter (a-z)");
    if (strstr(s, "--"))
        add(why, "must not contain consecutive hyphens");
    if (len > 0 && (s[0] == '-' || s[len - 1] == '-'))
        add(why, "must not begin or end with a hyphen");
}

static void
check_http_header(const char *s, size_t len, struct why *why)
{
    bool ok = len > 0;

    for (size_t i = 0; i < len; i++)
        ok = ok && (is_alnum(s[i]) || s[i] == '-');
    if (!ok)
        add(why, "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
                 "for validation is '[-A-Za-z0-9]+')");
}

static void
check_percent(const char *s, size_t len, struct why *why)
{
    bool ok = len > 1 && s[len - 1] == '%';

    for (size_t i = 0; i + 1 < len; i++)
        ok = ok && s[i] >= '0' && s[i] <= '9';
    if (!ok)
        add(why, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                 "regex used for validation is '[0-9]+%')");
}

static void
check_condition_reason(const char *s, size_t len, struct why *why)
{
    bool ok = len > 0 && is_alnum(s[0]) && !(s[0] >= '0' && s[0] <= '9') && (is_alnum(s[len - 1]) || s[len - 1] == '_');

    for (size_t i = 1; i < len; i++)
        ok = ok && (is_alnum(s[i]) || strchr("_,:", s[i]));
    if (!ok)
        add(why, "a condition reason must start with alphabetic character, optionally followed by a string of "
                 "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  "
                 "or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
                 "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
}

static void (*const checks[])(const char *s, size_t len, struct why *why) = {
    [NAME_DNS_SUBDOMAIN] = check_subdomain,
    [NAME_DNS_SUBDOMAIN_UNDERSCORE] = check_underscore,
    [NAME_DNS_LABEL] = check_label,
    [NAME_DNS_LABEL_1035] = check_label_1035,
    [NAME_DNS_WILDCARD] = check_wildcard,
    [NAME_QUALIFIED] = check_qualified,
    [NAME_LABEL_VALUE] = check_label_value,
    [NAME_PATH_SEGMENT] = check_path_segment,
    [NAME_ENV_VAR] = check_env_var,
    [NAME_CONFIG_KEY] = check_config_key,
    [NAME_PORT] = check_port,
    [NAME_HTTP_HEADER] = check_http_header,
    [NAME_PERCENT] = check_percent,
    [NAME_CONDITION_REASON] = check_condition_reason,
};

unsigned
name_check(enum name_rule rule, const char *value, const char *ret_why[NAME_MAX_ERRORS])
{
    struct why why = { .items = ret_why };

    value = str_safe(value);
    checks[rule](value, strlen(value), &why);
    return why.n;
}

unsigned
name_check_prefix(enum name_rule rule, const char *value, const char *ret_why[NAME_MAX_ERRORS])
{
    struct why why = { .items = ret_why };
    size_t len = strlen(str_safe(value));

    if (rule == NAME_PATH_SEGMENT) {
        check_path_prefix(str_safe(value), len, &why);
        return why.n;
    }
    /* As upstream: one 'a' stands for a trailing dash and what is before it. */
    if (len < 2 || value[len - 1] != '-')
        return name_check(rule, value, ret_why);
    AUTO_FREE char *masked = xstrndup(value, len - 1);
    masked[len - 2] = 'a';
    return name_check(rule, masked, ret_why);
}

bool
name_ok(enum name_rule rule, const char *value)
{
    const char *why[NAME_MAX_ERRORS];

    return name_check(rule, value, why) == 0;
}

static bool
parse_v4(const char *s, uint8_t ret[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned n = 0;
        const char *start = s;
        for (; *s >= '0' && *s <= '9'; s++) {
            n = n * 10 + (unsigned)(*s - '0');
            if (n > 255)
                return false;
        }
        if (s == start || *s++ != (i < 3 ? '.' : '\0'))
            return false;
        ret[i] = (uint8_t)n;
    }
    return true;
}

bool
api_ip_parse(const char *s, struct api_ip *ret)
{
    struct api_ip ip = { .bytes = { [10] = 0xff, [11] = 0xff } };

    if (str_empty(s))
        return false;
    if (strchr(s, ':')) {
        if (inet_pton(AF_INET6, s, ip.bytes) != 1)
            return false;
    } else if (!parse_v4(s, ip.bytes + 12))
        return false;
    *ret = ip;
    return true;
}

bool
api_ip_is_v4(const struct api_ip *ip)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    return memcmp(ip->bytes, mapped, sizeof mapped) == 0;
}

bool
api_cidr_parse(const char *s, struct api_ip *ret_ip, unsigned *ret_bits)
{
    char text[64];
    int32_t bits;
    struct api_ip ip;
    const char *slash = s ? strchr(s, '/') : NULL;

    if (!slash || (size_t)(slash - s) >= sizeof text || parse_i32(slash + 1, &bits) || bits < 0)
        return false;
    memcpy(text, s, (size_t)(slash - s));
    text[slash - s] = '\0';
    bool v4_text = !strchr(text, ':');
    if (!api_ip_parse(text, &ip) || bits > (v4_text ? 32 : 128))
        return false;
    *ret_ip = ip;
    *ret_bits = (unsigned)bits;
    return true;
}

void
api_ip_format(const struct api_ip *ip, char ret[API_IP_TEXT_SIZE])
{
    if (api_ip_is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + 12, ret, API_IP_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, ip->bytes, ret, API_IP_TEXT_SIZE);
}
