/* For the engine's translated code, which includes <alloca.h> but does not use it. */
#ifndef ALLOCA_H
#define ALLOCA_H

#define alloca __builtin_alloca

#endif
