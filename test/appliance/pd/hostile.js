// Replaces the bundle: executes commands, each one line on a separate TCP connection.
//   loop, jobs       never returns: from a call, from promise jobs
//   pattern          matches a regular expression that never ends
//   recurse, heap    takes all of the stack, or of the memory
//   throw            throws an uncaught exception
//   border N         calls the host function of that number with every kind of wrong argument; answers with the number
//                    of functions, and of throws. All functions in one call might take longer than a call may.
/* oxlint-disable no-empty-function, eslint/no-constant-condition -- on purpose */
;(() => {
  const host = globalThis.host
  const odd = () => [
    undefined,
    null,
    true,
    -1,
    0,
    1,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    NaN,
    Infinity,
    1.5,
    123n,
    '',
    'text',
    '\ud800',
    'x'.repeat(100_000),
    {},
    [],
    [1, 2, 3],
    Symbol('s'),
    () => 1,
    new ArrayBuffer(0),
    new ArrayBuffer(64),
    new ArrayBuffer(100_000),
    new Uint8Array(64),
    new Date(NaN),
    new Proxy({}, {}),
    {
      valueOf: () => {
        throw new Error('valueOf')
      },
      toString: () => {
        throw new Error('toString')
      },
    },
    { valueOf: () => host.random(1e9) },
    globalThis,
  ]

  /**
   * @param {number} number
   * @returns {string}
   */
  function border(number) {
    let calls = 0
    let threw = 0
    const names = Object.keys(host).filter((name) => !['started', 'stopped', 'log', 'timer'].includes(name))
    const values = odd()
    for (let i = -1; i < values.length * values.length; i++) {
      const args =
        i < 0
          ? []
          : [
              values[i % values.length],
              values[Math.floor(i / values.length)],
              values[(i * 7) % values.length],
            ]
      calls++
      try {
        host[names[number]](...args)
      } catch {
        threw++
      }
    }
    return `functions ${names.length} calls ${calls} threw ${threw}`
  }

  const recurse = (n) => recurse(n + 1) + 1

  function obey(line) {
    if (line === 'loop') for (;;);
    if (line === 'jobs') {
      const again = () => {
        void Promise.resolve().then(again)
      }
      again()
    }
    if (line === 'pattern') return `${/^(a+)+$/.test(`${'a'.repeat(40)}b`)}`
    if (line === 'recurse') return `${recurse(0)}`
    if (line === 'heap') {
      const all = []
      for (;;) all.push(new ArrayBuffer(1_000_000), 'x'.repeat(100_000) + all.length)
    }
    if (line === 'throw') throw new Error('thrown on purpose')
    if (line.startsWith('border ')) return border(Number(line.slice(7)))
    return 'done'
  }

  globalThis.serviceFs = {
    start: () => host.started(),
    psdb: () => {},
    opened: () => {},
    data: (connection, bytes) => {
      const line = host.utf8Decode(bytes) ?? ''
      if (line === '') return
      host.log(line.trim())
      host.netSend(connection, host.utf8Encode(`${obey(line.trim())}\n`))
      host.netClose(connection)
    },
    closed: () => {},
    writable: () => {},
    tick: () => {},
    signed: () => {},
    stop: () => {},
  }
})()
