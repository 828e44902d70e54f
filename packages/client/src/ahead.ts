/** The results of `task` for 0 … count-1, in order, with up to `width` of them under way. */
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
      // A failure is thrown when its turn comes; until then it must not count as unhandled.
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
