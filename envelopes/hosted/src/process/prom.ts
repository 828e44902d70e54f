/**
 * The metric classes of prom-client. Loading the package's index would also load a push gateway and a tracing interface, 3 MiB in
 * each tenant's process.
 */
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'

export { Counter, Gauge, Histogram, Registry }

/** Buckets in seconds. The lowest is half a millisecond, about the fastest durable write. */
export const SECONDS: number[] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
