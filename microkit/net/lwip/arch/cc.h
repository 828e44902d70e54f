/* The compiler and platform definitions that lwIP requires. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include "lib/stop.h"
#include "net/random.h"

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_LIMITS_H 1
/* The lwIP files that are built do not search texts. */
#define lwip_strnstr(text, part, length) NULL
/* For the formats of messages that are not printed. */
#define X8_F "x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

#define LWIP_PLATFORM_DIAG(message)                                                                          \
    do {                                                                                                     \
    } while (0)
#define LWIP_PLATFORM_ASSERT(what) stop(__FILE__, __LINE__, what)
#define LWIP_RAND() random_number()

#endif
