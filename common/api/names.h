// SPDX-License-Identifier: Apache-2.0
/* names.h - the rules for names, keys and addresses in the API, with upstream's messages.
 *
 *   const char *why[NAME_MAX_ERRORS];
 *   unsigned n = name_check(NAME_DNS_LABEL, "My_Pod", why);   // n messages, constant strings; 0 = fine
 *
 * Pure, any thread; allocates nothing. */
#ifndef CKUBE_API_NAMES_H
#define CKUBE_API_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum name_rule {
    NAME_DNS_SUBDOMAIN,            /* RFC 1123, the usual object name */
    NAME_DNS_SUBDOMAIN_UNDERSCORE, /* DNS search paths */
    NAME_DNS_LABEL,                /* RFC 1123 label: namespaces, containers, volumes, ports of services */
    NAME_DNS_LABEL_1035,           /* services */
    NAME_DNS_WILDCARD,             /* "*.example.com" */
    NAME_QUALIFIED,                /* label and annotation keys, finalizers: [prefix/]name */
    NAME_LABEL_VALUE,
    NAME_PATH_SEGMENT,             /* RBAC objects: anything but ".", "..", '/' and '%' */
    NAME_ENV_VAR,                  /* any printable ASCII but '=' */
    NAME_CONFIG_KEY,               /* keys of ConfigMaps and Secrets */
    NAME_PORT,                     /* IANA_SVC_NAME */
    NAME_HTTP_HEADER,
    NAME_PERCENT,                  /* "25%" */
    NAME_CONDITION_REASON,
};

#define NAME_MAX_ERRORS 8
#define NAME_ANNOTATIONS_MAX (256u * 1024) /* bytes of all keys and values of one object */

/* NULL is the empty string. */
unsigned name_check(enum name_rule rule, const char *value, const char *ret_why[NAME_MAX_ERRORS]);
/* As the start of a generated name: trailing dashes are allowed. */
unsigned name_check_prefix(enum name_rule rule, const char *value, const char *ret_why[NAME_MAX_ERRORS]);
bool name_ok(enum name_rule rule, const char *value);

/* As Go's net.ParseIP and net.ParseCIDR in their old lenient form (leading zeros in IPv4 are allowed).
 * IPv4 is stored as ::ffff:a.b.c.d. */
struct api_ip {
    uint8_t bytes[16];
};
bool api_ip_parse(const char *s, struct api_ip *ret);
bool api_ip_is_v4(const struct api_ip *ip);
bool api_cidr_parse(const char *s, struct api_ip *ret_ip, unsigned *ret_bits); /* bits: 0-32 for IPv4, else 0-128 */
#define API_IP_TEXT_SIZE 46
void api_ip_format(const struct api_ip *ip, char ret[API_IP_TEXT_SIZE]); /* canonical */

#endif
