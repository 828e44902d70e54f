/*
 * The entry point of a domain that the supervisor may restart. Microkit sets only registers, so this code
 * resets the domain's memory: to zeros, except for the words that Microkit's tool wrote into the image for
 * libmicrokit. restart.ld makes the link fail if there is other writable memory with an initial value.
 */
#include "domain.h"

#include <string.h>

/* libmicrokit and its linker script choose these names; not every SDK declares them. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-redundant-declaration) */
extern uint8_t _bss[], _bss_end[];
extern char microkit_name[];
/* Only newer SDKs have this variable. */
extern seL4_Word microkit_ioports __attribute__((weak));
_Noreturn void _start(void);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-redundant-declaration) */
_Noreturn void domain_start(void);

_Noreturn void domain_start(void) {
    char name[MICROKIT_PD_NAME_LENGTH];
    memcpy(name, microkit_name, sizeof name);
    const seL4_Word irqs = microkit_irqs;
    const seL4_Word notifications = microkit_notifications;
    const seL4_Word calls = microkit_pps;
    const seL4_Word ports = &microkit_ioports != NULL ? microkit_ioports : 0;
    memset(_bss, 0, (uintptr_t)_bss_end - (uintptr_t)_bss);
    memcpy(microkit_name, name, sizeof name);
    microkit_irqs = irqs;
    microkit_notifications = notifications;
    microkit_pps = calls;
    if (&microkit_ioports != NULL) microkit_ioports = ports;
    _start();
}
