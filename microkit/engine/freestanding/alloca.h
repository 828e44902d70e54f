/* For the engine's own code where there is no C library; it uses none of it. */
#ifndef ALLOCA_H
#define ALLOCA_H

#define alloca __builtin_alloca

#endif
