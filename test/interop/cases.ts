// Answers that a proxy changes, and the complaints about them.
import { type Answer, editJson, flip, type Tampering } from './tamper.ts'

/** Changes nothing. */
export const control: Tampering = { path: /./, change: () => {} }
/** Name, change, complaint of the program in this folder, and whether fsck must complain too. */
export const CASES: readonly (readonly [
  name: string,
  tampering: Tampering,
  complaint: RegExp,
  fsckToo: boolean,
])[] = [
  ['full hash tile', on(/^tile\/0\/001$/, (a) => flip(a, 5000)), /tile\/0\/001: hash 156 is/, true],
  ['partial hash tile', on(/^tile\/0\/\d+\.p\//, (a) => flip(a, -1)), /tile\/0\/\d+\.p\/\d+: hash/, true],
  ['upper hash tile', on(/^tile\/1\/000\.p\//, (a) => flip(a, 3)), /tile\/1\/000\.p\/\d+: hash 0 is/, true],
  ['payload in a bundle', on(/^tile\/entries\/002$/, (a) => flip(a, -1)), /root: the checkpoint/, true],
  ['length in a bundle', on(/^tile\/entries\/000$/, (a) => flip(a, 1)), /tile\/entries\/000: /, true],
  ['partial bundle', on(/^tile\/entries\/\d+\.p\//, (a) => flip(a, -1)), /root: the checkpoint/, true],
  ['short bundle', on(/^tile\/entries\/001$/, truncate), /tile\/entries\/001: entry \d+ has length/, true],
  ['size in the checkpoint', on(/^checkpoint$/, otherSize), /signed note not accepted/, true],
  ['signature of the checkpoint', on(/^checkpoint$/, noSignature), /signed note not accepted/, true],
  [
    'an inclusion proof',
    on(/^v1\/proof\/inclusion\?index=0&size=256$/, otherHash),
    /inclusion\?index=0&size=256: /,
    false,
  ],
  [
    'a consistency proof',
    on(/^v1\/proof\/consistency\?from=255&to=256$/, otherHash),
    /from=255&to=256: /,
    false,
  ],
  ['a leaf hash', on(/^v1\/proof\/inclusion\?/, leafHash), /leaf_hash is/, false],
  [
    'media type of tiles',
    on(/^tile\//, (a) => (a.headers['content-type'] = 'text/plain')),
    /Content-Type/,
    false,
  ],
  [
    'caching of tiles',
    on(/^tile\//, (a) => (a.headers['cache-control'] = 'no-store')),
    /should be long-lived/,
    false,
  ],
  ['caching of the checkpoint', on(/^checkpoint$/, cached), /should prevent caching/, false],
  ['404 made a tile', on(/^tile\/1\/001$/, madeUp), /tile\/1\/001: status 200/, false],
  ['404 made a wider partial tile', on(/^tile\/0\/\d+\.p\/255$/, madeUp), /\.p\/255: status 200/, false],
  ['compression left out', on(/^tile\/entries\//, () => {}), /came uncompressed/, false],
]

function on(path: RegExp, change: (answer: Answer) => void): Tampering {
  return { path, change }
}

function truncate(answer: Answer): void {
  answer.body = answer.body.subarray(0, -1)
}

function otherSize(answer: Answer): void {
  const [origin, size, ...rest] = answer.body.toString('utf8').split('\n')
  answer.body = Buffer.from([origin, String(Number(size) - 1), ...rest].join('\n'))
}

/** Changes one base64 character of every signature. */
function noSignature(answer: Answer): void {
  const text = answer.body.toString('utf8')
  answer.body = Buffer.from(
    text.replaceAll(/^(— \S+ .{20})(.)/gm, (_, head: string, c: string) => head + (c === 'A' ? 'B' : 'A')),
  )
}

function otherHash(answer: Answer): void {
  editJson(answer, (value) => {
    const hashes = value['hashes']
    if (Array.isArray(hashes)) hashes[0] = Buffer.alloc(32).toString('base64')
  })
}

function leafHash(answer: Answer): void {
  editJson(answer, (value) => {
    if ('leaf_hash' in value) value['leaf_hash'] = Buffer.alloc(32).toString('base64')
  })
}

function cached(answer: Answer): void {
  answer.headers['cache-control'] = 'max-age=3600'
}

function madeUp(answer: Answer): void {
  answer.status = 200
  answer.headers['content-type'] = 'application/octet-stream'
  answer.body = Buffer.alloc(8192, 7)
}
