/** Yields the results of `task` for 0 to count-1, in order, with at most `width` tasks running at once. */
export async function* ahead<T>(
  count: number,
  width: number,
  task: (i: number) => Promise<T>,
): AsyncGenerator<T> {
  const running: Promise<T>[] = []
  let next = 0
  const fill = (): void => {
    while (running.length < width && next < count) {
      const promise = task(next++)
      // The loop below throws the failure in its turn. Until then, Node must not report it as unhandled.
      promise.catch(() => undefined)
      running.push(promise)
    }
  }
  fill()
  for (let promise = running.shift(); promise !== undefined; promise = running.shift()) {
    const result = await promise
    fill()
    yield result
  }
}
