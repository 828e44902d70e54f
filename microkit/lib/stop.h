/* Assertions, compiled into every build. */
#ifndef STOP_H
#define STOP_H

/* Prints the place and the text on the console, then faults. The supervisor restarts a ledger; any other
 * domain stays stopped. */
_Noreturn void stop(const char *file, int line, const char *what);

#define STOP_UNLESS(condition) ((condition) ? (void)0 : stop(__FILE__, __LINE__, #condition))

#endif
