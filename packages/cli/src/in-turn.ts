/** Runs tasks at the same time, and yields their results in turn. */

/** A task, and the number of bytes of memory that its result takes. */
export interface Sized<T> {
  size: number
  run(): Promise<T>
}

/** The maximum number of tasks at a time, and of bytes of their results. A single task may exceed the bytes. */
export interface Room {
  files: number
  bytes: number
}

/**
 * Yields the results of `tasks`, in their order. Starts each task before it asks for the next one. If a task fails, throws its error
 * in place of its result.
 */
export async function* inTurn<T>(tasks: AsyncIterable<Sized<T>>, room: Room): AsyncGenerator<T> {
  const running: { size: number; result: Promise<T> }[] = []
  let bytes = 0
  const next = async (): Promise<T> => {
    const { size, result } = running.shift() as { size: number; result: Promise<T> }
    bytes -= size
    return result
  }
  for await (const task of tasks) {
    while (running.length >= room.files || (running.length > 0 && bytes + task.size > room.bytes))
      yield await next()
    const { size } = task
    const result = task.run()
    // The loop throws the failure in place of the result. Until then, Node must not report it as unhandled.
    result.catch(() => undefined)
    running.push({ size, result })
    bytes += size
  }
  while (running.length > 0) yield await next()
}
