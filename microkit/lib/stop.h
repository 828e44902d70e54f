/* What a domain believes about itself; always compiled in. */
#ifndef STOP_H
#define STOP_H

/* Says where and what on the console, and faults: a ledger is restarted by the supervisor, another domain
 * stays stopped. */
_Noreturn void stop(const char *file, int line, const char *what);

#define STOP_UNLESS(condition) ((condition) ? (void)0 : stop(__FILE__, __LINE__, #condition))

#endif
