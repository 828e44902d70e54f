/* Assertions of third-party sources; they stay on in release builds. */
#undef assert
#include "../stop.h"
#define assert(condition) STOP_UNLESS(condition)
